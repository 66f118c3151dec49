/* Who has a port, as far as procfs tells. */
#ifndef WHERRY_NET_PORT_HOLDER_H
#define WHERRY_NET_PORT_HOLDER_H

#include <stddef.h>
#include <stdint.h>

/*
 * Writes " (held by NAME, pid N)" for the process that listens on the port (TCP) or has bound it
 * (UDP) in our network namespace, in conflict with @host_ip (0: every address); "" if none can be
 * found. Read-only and best effort; meant for an error message.
 */
void port_holder_find(uint8_t protocol, uint32_t host_ip, uint16_t port, char *out, size_t size);

#endif
