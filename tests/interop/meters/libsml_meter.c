/* An electricity meter whose SML telegrams are made by libsml: an encoder the gateway's authors did not write.
 *
 *   cc -O2 -o libsml_meter libsml_meter.c -lsml -luuid
 *   libsml_meter /path/of/port
 *
 * Sends a telegram every quarter of a second: energy import in 0.1 Wh, power in W. Says "READY sml PATH" on stdout. Reads
 * from stdin "power W" (and counts it), "energy" (answers "ENERGY deciwatthours"), "mute", "speak" and "quit".
 */

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sml/sml_file.h>
#include <sml/sml_transport.h>

static unsigned char SERVER[] = {0x0A, 0x01, 'E', 'B', 'Z', 0x01, 0x00, 0x00, 0x12, 0x34};
static double energy_wh = 1234567.8, watts;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static octet_string *octets(const void *bytes, int length)
{
    return sml_octet_string_init((unsigned char *)bytes, length);
}

/* sml_list_add sets the next of what it is given, so it wants the last one. */
static void append(sml_get_list_response *list, sml_list *entry)
{
    sml_list **at = &list->val_list;
    while (*at)
        at = &(*at)->next;
    *at = entry;
}

static void add(sml_get_list_response *list, const unsigned char obis[6], int unit, int scaler, int64_t value)
{
    sml_list *entry = sml_list_init();
    entry->obj_name = octets(obis, 6);
    entry->unit = sml_u8_init((u8)unit);
    entry->scaler = sml_i8_init((i8)scaler);
    entry->value = sml_value_init();
    entry->value->type = SML_TYPE_INTEGER | SML_TYPE_NUMBER_64;
    entry->value->data.int64 = sml_i64_init(value);
    append(list, entry);
}

static void add_octets(sml_get_list_response *list, const unsigned char obis[6], const void *bytes, int length)
{
    sml_list *entry = sml_list_init();
    entry->obj_name = octets(obis, 6);
    entry->value = sml_value_init();
    entry->value->type = SML_TYPE_OCTET_STRING;
    entry->value->data.bytes = octets(bytes, length);
    append(list, entry);
}

static void message(sml_file *file, u32 tag, void *data)
{
    sml_message *message = sml_message_init();
    message->group_id = sml_u8_init(0);
    message->abort_on_error = sml_u8_init(0);
    message->message_body = sml_message_body_init(tag, data);
    sml_file_add_message(file, message);
}

static void send(int port)
{
    static const unsigned char IMPORT[] = {1, 0, 1, 8, 0, 255}, POWER[] = {1, 0, 16, 7, 0, 255},
                               ID[] = {1, 0, 96, 1, 0, 255}, VOLTS[] = {1, 0, 32, 7, 0, 255};
    sml_file *file = sml_file_init();

    sml_open_response *open = sml_open_response_init();
    open->req_file_id = octets("\1\2\3\4", 4);
    open->server_id = octets(SERVER, sizeof SERVER);
    message(file, SML_MESSAGE_OPEN_RESPONSE, open);

    sml_get_list_response *list = sml_get_list_response_init();
    list->server_id = octets(SERVER, sizeof SERVER);
    add_octets(list, ID, SERVER, sizeof SERVER);
    add(list, IMPORT, 30, -1, (int64_t)(energy_wh * 10));
    add(list, POWER, 27, 0, (int64_t)watts);
    add(list, VOLTS, 35, -1, 2305);
    message(file, SML_MESSAGE_GET_LIST_RESPONSE, list);

    message(file, SML_MESSAGE_CLOSE_RESPONSE, sml_close_response_init());
    sml_transport_write(port, file);
    sml_file_free(file);
}

int main(int count, char **words)
{
    if (count != 2) {
        fprintf(stderr, "usage: libsml_meter PORT\n");
        return 2;
    }
    int port = open(words[1], O_RDWR | O_NOCTTY);
    if (port < 0) {
        perror(words[1]);
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0);
    printf("READY sml %s\n", words[1]);
    int mute = 0;
    double seen = now();
    for (;;) {
        struct pollfd in = {.fd = 0, .events = POLLIN};
        if (poll(&in, 1, 250) > 0) {
            char line[80];
            if (!fgets(line, sizeof line, stdin) || !strncmp(line, "quit", 4))
                return 0;
            if (!strncmp(line, "power ", 6))
                watts = atof(line + 6);
            if (!strncmp(line, "energy", 6))
                printf("ENERGY %lld\n", (long long)(energy_wh * 10));
            if (!strncmp(line, "mute", 4))
                mute = 1;
            if (!strncmp(line, "speak", 5))
                mute = 0;
        }
        double t = now();
        energy_wh += watts * (t - seen) / 3600;
        seen = t;
        if (!mute)
            send(port);
    }
}
