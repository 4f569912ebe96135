/* A master of Debian's libmodbus on a serial line: reads input registers of units 1 to N in turn, back to back.
 *
 *     libmodbus_master PATH BAUD UNITS REGISTERS MILLISECONDS TIMEOUT_MS
 *
 * Says `good bad seconds processor-seconds`. A pseudo-terminal has no parity bit, so none is asked for; the line paces it all the same.
 */

#include <modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: %s PATH BAUD UNITS REGISTERS MILLISECONDS TIMEOUT_MS\n", argv[0]);
        return 2;
    }
    int units = atoi(argv[3]), registers = atoi(argv[4]), timeout = atoi(argv[6]);
    uint16_t values[MODBUS_MAX_READ_REGISTERS];
    modbus_t *port = modbus_new_rtu(argv[1], atoi(argv[2]), 'N', 8, 1);
    if (!port || registers > MODBUS_MAX_READ_REGISTERS || modbus_connect(port) < 0) {
        fprintf(stderr, "cannot open %s\n", argv[1]);
        return 1;
    }
    modbus_set_response_timeout(port, timeout / 1000, timeout % 1000 * 1000);
    unsigned good = 0, bad = 0;
    double used = (double)clock() / CLOCKS_PER_SEC;
    double begin = now(), end = begin + atoi(argv[5]) / 1000.0;
    for (int unit = 0; now() < end; unit = (unit + 1) % units) {
        modbus_set_slave(port, unit + 1);
        if (modbus_read_input_registers(port, 0, registers, values) == registers)
            good++;
        else
            bad++;
    }
    printf("%u %u %.6f %.6f\n", good, bad, now() - begin, (double)clock() / CLOCKS_PER_SEC - used);
    modbus_close(port);
    modbus_free(port);
    return 0;
}
