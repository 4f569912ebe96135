/* A charger and a meter served by libmodbus: a slave the gateway's authors did not write.
 *
 *   cc -O2 -o libmodbus_slave libmodbus_slave.c $(pkg-config --cflags --libs libmodbus)
 *   libmodbus_slave tcp
 *   libmodbus_slave rtu /path/of/port [baud [parity]]
 *
 * Says on stdout "READY tcp 127.0.0.1:PORT" or "READY rtu PATH", then "WRITE unit address value..." for every write
 * taken. Reads "plug", "unplug" and "quit" from stdin. Unit 1 is a Heidelberg Energy Control whose status follows
 * limit and plug, unit 2 an SDM630 that shows its current and counts its energy. Over TCP one master at a time.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <modbus.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHARGER = 1, METER = 2, HIGHEST = 160, LEAST = 60, LIMIT = 261 };
static const double VOLTS = 230.0;

static modbus_mapping_t *charger, *meter;
static int plugged;
static double energy_wh = 1234500.0, seen;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int limit(void)
{
    return charger->tab_registers[LIMIT - 257];
}

static int deciamps(void)
{
    int most = limit() < HIGHEST ? limit() : HIGHEST;
    return plugged && limit() >= LEAST ? most : 0;
}

static double watts(void)
{
    return deciamps() / 10.0 * VOLTS * 3;
}

/* High word first, whatever the machine's own order. */
static void put_float(uint16_t *at, double value)
{
    float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    at[0] = (uint16_t)(bits >> 16);
    at[1] = (uint16_t)bits;
}

static void refresh(void)
{
    double t = now();
    energy_wh += watts() * (t - seen) / 3600;
    seen = t;

    uint16_t *in = charger->tab_input_registers; /* from address 4 */
    int offers = limit() >= LEAST;
    in[1] = (uint16_t)(plugged ? (offers ? 7 : 6) : (offers ? 3 : 2));
    for (int phase = 0; phase < 3; phase++) {
        in[2 + phase] = (uint16_t)deciamps();
        in[6 + phase] = 230;
    }
    in[10] = (uint16_t)watts();
    in[13] = (uint16_t)((uint32_t)energy_wh >> 16);
    in[14] = (uint16_t)(uint32_t)energy_wh;

    uint16_t *m = meter->tab_input_registers; /* from address 0 */
    for (int phase = 0; phase < 3; phase++) {
        put_float(m + 2 * phase, VOLTS);
        put_float(m + 6 + 2 * phase, deciamps() / 10.0);
        put_float(m + 12 + 2 * phase, deciamps() / 10.0 * VOLTS);
    }
    put_float(m + 52, watts());
    put_float(m + 70, 50.0);
    put_float(m + 72, energy_wh / 1000);
    put_float(m + 342, energy_wh / 1000);
}

static void make_maps(void)
{
    charger = modbus_mapping_new_start_address(0, 0, 0, 0, 257, 6, 4, 200);
    meter = modbus_mapping_new_start_address(0, 0, 0, 0, 64512, 3, 0, 382);
    if (!charger || !meter) {
        fprintf(stderr, "no memory for the register maps\n");
        exit(1);
    }
    charger->tab_input_registers[0] = 0x0108;
    charger->tab_input_registers[5] = 250;
    charger->tab_input_registers[9] = 1;
    charger->tab_input_registers[96] = 16; /* 100: most current */
    charger->tab_input_registers[97] = 6;  /* 101: least current */
    charger->tab_input_registers[199] = 8; /* 203: software */
    charger->tab_registers[0] = 15000;
    charger->tab_registers[2] = 1;
    charger->tab_registers[LIMIT - 257] = HIGHEST;
    charger->tab_registers[5] = LEAST;
    meter->tab_registers[1] = 4711;
    meter->tab_registers[2] = 0x70;
    seen = now();
}

static unsigned word(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

/* Answers one request. */
static void serve(modbus_t *ctx, const uint8_t *request, int length)
{
    int header = modbus_get_header_length(ctx);
    int unit = request[header - 1], function = request[header];
    modbus_mapping_t *map = unit == CHARGER ? charger : unit == METER ? meter : NULL;
    if (!map)
        return; /* as silent as a line without that unit */
    refresh();
    int answered = modbus_reply(ctx, request, length, map);
    if (answered <= 0 || (function != 6 && function != 16))
        return;
    unsigned address = word(request + header + 1);
    unsigned count = function == 6 ? 1 : word(request + header + 3);
    const uint8_t *values = request + header + (function == 6 ? 3 : 6);
    unsigned start = map == charger ? 257 : 64512, size = map == charger ? 6 : 3;
    if (address < start || address + count > start + size)
        return; /* it was refused */
    printf("WRITE %d %u", unit, address);
    for (unsigned i = 0; i < count; i++)
        printf(" %u", word(values + 2 * i));
    printf("\n");
}

static const char *path;
static int baud = 19200;
/* A pseudo-terminal has no parity bit, and asking for one a second time fails. */
static char parity = 'N';

static modbus_t *open_rtu(void)
{
    modbus_t *ctx = modbus_new_rtu(path, baud, parity, 8, 1);
    if (!ctx || modbus_set_slave(ctx, CHARGER) < 0 || modbus_connect(ctx) < 0) {
        fprintf(stderr, "cannot open %s: %s\n", path, modbus_strerror(errno));
        exit(1);
    }
    return ctx;
}

/* On a serial line libmodbus takes the frames of one unit. For those of another it gives zero after reading them in
 * full, and then waits for that unit's answer on the line. Here the other unit is in the same program, and its
 * answer is never heard: it is served, and a fresh context takes the place of the one that would wait. */
static modbus_t *serve_other_unit(modbus_t *ctx, const uint8_t *request)
{
    if (request[0] != METER)
        return ctx;
    modbus_set_slave(ctx, METER);
    serve(ctx, request, request[1] == 16 ? 9 + request[6] : 8);
    modbus_t *fresh = open_rtu();
    modbus_close(ctx);
    modbus_free(ctx);
    return fresh;
}

/* Obeys one line of stdin; zero at its end. */
static int obey(void)
{
    char line[64];
    ssize_t length = read(STDIN_FILENO, line, sizeof line - 1);
    if (length <= 0)
        return 0;
    line[length] = 0;
    refresh();
    if (strstr(line, "unplug"))
        plugged = 0;
    else if (strstr(line, "plug"))
        plugged = 1;
    return strstr(line, "quit") == NULL;
}

/* Serves until the master goes (TCP) or stdin ends; zero: stop for good. */
static int session(modbus_t *ctx)
{
    uint8_t request[MODBUS_MAX_ADU_LENGTH];
    int port = modbus_get_socket(ctx);
    for (;;) {
        fd_set set;
        FD_ZERO(&set);
        FD_SET(STDIN_FILENO, &set);
        FD_SET(port, &set);
        if (select(port + 1, &set, NULL, NULL, NULL) < 0)
            return 0;
        if (FD_ISSET(STDIN_FILENO, &set) && !obey())
            return 0;
        if (!FD_ISSET(port, &set))
            continue;
        int length = modbus_receive(ctx, request);
        if (length > 0)
            serve(ctx, request, length);
        else if (length == 0)
            port = modbus_get_socket(ctx = serve_other_unit(ctx, request));
        else if (length < 0 && (errno == ECONNRESET || errno == EPIPE || errno == EBADF || errno == EIO))
            return 1;
    }
}

static int serve_tcp(void)
{
    modbus_t *ctx = modbus_new_tcp("127.0.0.1", 0);
    int listener = ctx ? modbus_tcp_listen(ctx, 4) : -1;
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    if (listener < 0 || getsockname(listener, (struct sockaddr *)&address, &size) < 0) {
        fprintf(stderr, "cannot listen: %s\n", modbus_strerror(errno));
        return 1;
    }
    printf("READY tcp 127.0.0.1:%d\n", ntohs(address.sin_port));
    for (;;) {
        fd_set set;
        FD_ZERO(&set);
        FD_SET(STDIN_FILENO, &set);
        FD_SET(listener, &set);
        if (select(listener + 1, &set, NULL, NULL, NULL) < 0)
            return 1;
        if (FD_ISSET(STDIN_FILENO, &set) && !obey())
            return 0;
        if (FD_ISSET(listener, &set) && modbus_tcp_accept(ctx, &listener) >= 0) {
            int go_on = session(ctx);
            modbus_close(ctx);
            if (!go_on)
                return 0;
        }
    }
}

static int serve_rtu(void)
{
    modbus_t *ctx = open_rtu();
    printf("READY rtu %s\n", path);
    session(ctx);
    return 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    make_maps();
    if (argc == 2 && strcmp(argv[1], "tcp") == 0)
        return serve_tcp();
    if (argc >= 3 && strcmp(argv[1], "rtu") == 0) {
        path = argv[2];
        baud = argc > 3 ? atoi(argv[3]) : baud;
        parity = argc > 4 ? argv[4][0] : parity;
        return serve_rtu();
    }
    fprintf(stderr, "usage: %s tcp | rtu PATH [BAUD [N|E|O]]\n", argv[0]);
    return 2;
}
