/* A Modbus server by libmodbus, for tests of the client.
 *
 *     libmodbus_server tcp | rtu DEVICE
 *
 * It prints "ready" and its port, if it has one, and serves one client after the other until it is
 * killed. Unit 1 has 200 addresses in each table: holding register n holds 4096 + n, input register
 * n holds 6144 + n, and of the coils and discrete inputs every third is set.
 */
#include <errno.h>
#include <modbus.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { COUNT = 200, UNIT = 1 };

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, modbus_strerror(errno));
    exit(1);
}

static void serve(modbus_t *context, modbus_mapping_t *map)
{
    uint8_t request[MODBUS_TCP_MAX_ADU_LENGTH];
    for (;;) {
        int length = modbus_receive(context, request);
        if (length > 0) {
            modbus_reply(context, request, length, map);
        } else if (length < 0 && errno != EMBBADCRC) {
            return;
        }
    }
}

int main(int count, char **arguments)
{
    modbus_mapping_t *map = modbus_mapping_new(COUNT, COUNT, COUNT, COUNT);
    if (map == NULL || count < 2) {
        die("start");
    }
    for (int n = 0; n < COUNT; n++) {
        map->tab_bits[n] = map->tab_input_bits[n] = n % 3 == 0;
        map->tab_registers[n] = (uint16_t)(4096 + n);
        map->tab_input_registers[n] = (uint16_t)(6144 + n);
    }
    if (strcmp(arguments[1], "rtu") == 0 && count == 3) {
        modbus_t *context = modbus_new_rtu(arguments[2], 19200, 'N', 8, 1);
        if (context == NULL || modbus_set_slave(context, UNIT) || modbus_connect(context)) {
            die("line");
        }
        puts("ready");
        fflush(stdout);
        for (;;) {
            serve(context, map);
        }
    }
    modbus_t *context = modbus_new_tcp("127.0.0.1", 0);
    int listener = context == NULL ? -1 : modbus_tcp_listen(context, 1);
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    if (listener < 0 || getsockname(listener, (struct sockaddr *)&address, &size)) {
        die("listen");
    }
    printf("ready %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        if (modbus_tcp_accept(context, &listener) >= 0) {
            serve(context, map);
            modbus_close(context);
        }
    }
}
