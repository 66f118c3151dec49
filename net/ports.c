/*
 * Holding a host port without serving it. Packets to it are led away by the rules before a socket
 * sees them; the socket is there so that nobody else can take the port, and so that we notice
 * when somebody has.
 */
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/sys.h"
#include "net/net.h"
#include "net/port_holder.h"

/* Nothing that reaches the socket after all is queued, answered or accepted. */
static int drop_everything(int fd)
{
	struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { .len = 1, .filter = &code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno
											   : 0;
}

static int set_reuse(int fd, int on)
{
	return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ? -errno : 0;
}

/*
 * A TCP port that was bound with SO_REUSEADDR, so that connections in TIME_WAIT do not count.
 * Two such sockets may share a port until one listens, so it must listen for an instant to find
 * out that nobody else holds it; the way back keeps the port. Without SO_REUSEADDR from then on,
 * every later bind by others fails.
 */
static int make_exclusive(int fd)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	if (listen(fd, 0) < 0 || connect(fd, &none, sizeof(none)) < 0) {
		return -errno;
	}
	return set_reuse(fd, 0);
}

static int hold(int fd, uint8_t protocol, struct sockaddr_in *address)
{
	bool shared = protocol == IPPROTO_TCP && address->sin_port != 0;
	socklen_t size = sizeof(*address);
	int r = drop_everything(fd);

	if (r == 0 && shared) {
		r = set_reuse(fd, 1);
	}
	if (r < 0) {
		return r;
	}
	if (bind(fd, (struct sockaddr *)address, sizeof(*address)) < 0) {
		return -errno;
	}
	if (shared) {
		r = make_exclusive(fd);
	}
	if (r == 0 && getsockname(fd, (struct sockaddr *)address, &size) < 0) {
		r = -errno;
	}
	return r;
}

int net_port_reserve(
	uint8_t protocol, uint32_t host_ip, uint16_t port, uint16_t *chosen, struct error *err)
{
	int type = protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(host_ip)
	};
	struct net_ipv4 ip = { host_ip, 32 };
	char text[NET_IPV4_SIZE], holder[128];
	_cleanup_fd_ int fd = sys_socket(AF_INET, type, protocol);
	int r = fd < 0 ? fd : hold(fd, protocol, &address);

	net_ipv4_print(ip, false, text);
	if (r == -EADDRINUSE) {
		port_holder_find(protocol, host_ip, port, holder, sizeof(holder));
		return error_say(err, EADDRINUSE,
			"Bind for %s:%u failed: port is already allocated%s", text, port, holder);
	}
	if (r < 0) {
		return error_set(err, r, "Bind for %s:%u failed", text, port);
	}
	if (chosen) {
		*chosen = ntohs(address.sin_port);
	}
	return take_fd(&fd);
}
