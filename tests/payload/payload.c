/*
 * What the end-to-end tests run inside containers: one static program with verbs, so that a test
 * image needs no shell, no libraries and no packages.
 *
 * Several verbs may be chained with "--": each runs when the one before returned 0.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long number(const char *text)
{
	return strtol(text, NULL, 0);
}

static void nap_us(long us)
{
	struct timespec t = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

	nanosleep(&t, NULL);
}

static volatile sig_atomic_t got_signal;

static void on_signal(int signal_number)
{
	got_signal = signal_number;
}

static void catch (int signal_number, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler };

	sigaction(signal_number, &action, NULL);
}

/* echo WORD...: prints the words */
static int verb_echo(int count, char **words)
{
	for (int i = 0; i < count; i++) {
		printf("%s%s", i ? " " : "", words[i]);
	}
	printf("\n");
	return 0;
}

/* cat [FILE...]: copies files, or standard input, to standard output */
static int verb_cat(int count, char **words)
{
	char data[65536];

	for (int i = 0; i < count || i == 0; i++) {
		int fd = count ? open(words[i], O_RDONLY | O_CLOEXEC) : 0;
		ssize_t n;

		if (fd < 0) {
			fprintf(stderr, "%s: %s\n", words[i], strerror(errno));
			return 1;
		}
		while ((n = read(fd, data, sizeof(data))) > 0) {
			if (fwrite(data, 1, (size_t)n, stdout) != (size_t)n) {
				return 1;
			}
		}
		if (n < 0) {
			fprintf(stderr, "%s: %s\n", count ? words[i] : "-", strerror(errno));
			return 1;
		}
		fflush(stdout);
		if (fd > 0) {
			close(fd);
		}
	}
	return 0;
}

/* write FILE TEXT: creates or replaces a file */
static int verb_write(int count, char **words)
{
	int fd = count == 2 ? open(words[0], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;

	if (fd < 0 || write(fd, words[1], strlen(words[1])) < 0) {
		fprintf(stderr, "%s: %s\n", count ? words[0] : "write", strerror(errno));
		return 1;
	}
	close(fd);
	return 0;
}

static int verb_exists(int count, char **words)
{
	return count == 1 && access(words[0], F_OK) == 0 ? 0 : 1;
}

static int verb_unlink(int count, char **words)
{
	return count == 1 && unlink(words[0]) == 0 ? 0 : 1;
}

static int verb_exit(int count, char **words)
{
	exit(count ? (int)number(words[0]) : 0);
}

static int verb_sleep_ms(int count, char **words)
{
	nap_us(number(count ? words[0] : "0") * 1000);
	return 0;
}

/* serve: stays until TERM or INT, then exits 0 */
static int verb_serve(int count, char **words)
{
	(void)count;
	(void)words;
	catch (SIGTERM, on_signal);
	catch (SIGINT, on_signal);
	while (!got_signal) {
		nap_us(1000000000L);
	}
	printf("caught signal %d\n", (int)got_signal);
	fflush(stdout);
	exit(0);
}

/* forever: stays, with default signal dispositions (as PID 1 it takes no notice of TERM) */
static int verb_forever(int count, char **words)
{
	(void)count;
	(void)words;
	while (!got_signal) {
		pause();
	}
	return 0;
}

/* ignore-term: says "ignoring" and takes no notice of TERM */
static int verb_ignore_term(int count, char **words)
{
	catch (SIGTERM, SIG_IGN);
	printf("ignoring\n");
	fflush(stdout);
	return verb_forever(count, words);
}

/* counter MS [COUNT]: prints an increasing number every MS milliseconds, one write(2) a line */
static int verb_counter(int count, char **words)
{
	long pause_us = number(count > 0 ? words[0] : "10") * 1000;
	long last = count > 1 ? number(words[1]) : -1;

	catch (SIGTERM, on_signal);
	for (long i = 0; i != last && !got_signal; i++) {
		char line[64];
		int n = snprintf(line, sizeof(line), "count %ld\n", i);

		if (write(1, line, (size_t)n) != n) {
			return 1;
		}
		nap_us(pause_us);
	}
	return 0;
}

/* flood LINES SIZE: prints numbered lines of SIZE bytes as fast as it can */
static int verb_flood(int count, char **words)
{
	long lines = number(count > 0 ? words[0] : "1000"),
	     size = number(count > 1 ? words[1] : "100");
	char *line = malloc((size_t)size + 32);

	memset(line, 'x', (size_t)size + 32);
	for (long i = 0; i < lines; i++) {
		int n = snprintf(line, 32, "line %010ld ", i);

		line[n] = 'x';
		line[size - 1] = '\n';
		if (fwrite(line, 1, (size_t)size, stdout) != (size_t)size) {
			exit(1);
		}
	}
	free(line);
	return fflush(stdout);
}

/* emit COUNT CHAR: COUNT copies of CHAR, no newline */
static int verb_emit(int count, char **words)
{
	for (long i = number(count > 0 ? words[0] : "1"); i > 0; i--) {
		putchar(count > 1 ? words[1][0] : 'x');
	}
	return fflush(stdout);
}

static int verb_stderr(int count, char **words)
{
	for (int i = 0; i < count; i++) {
		fprintf(stderr, "%s%s", i ? " " : "", words[i]);
	}
	fprintf(stderr, "\n");
	return 0;
}

/* eat-memory MIB: touches that many mebibytes, a page at a time */
static int verb_eat_memory(int count, char **words)
{
	size_t size = (size_t)number(count ? words[0] : "1") << 20;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		fprintf(stderr, "mmap: %s\n", strerror(errno));
		return 1;
	}
	for (size_t at = 0; at < size; at += 4096) {
		memory[at] = 1;
	}
	printf("ate %zu MiB\n", size >> 20);
	fflush(stdout);
	return 0;
}

/* spawn-orphans COUNT: leaves COUNT zombies to PID 1 */
static int verb_spawn_orphans(int count, char **words)
{
	for (long i = number(count ? words[0] : "1"); i > 0; i--) {
		pid_t middle = fork();

		if (middle == 0) {
			if (fork() == 0) {
				_exit(0);
			}
			_exit(0);
		}
		if (middle < 0 || waitpid(middle, NULL, 0) < 0) {
			return 1;
		}
	}
	return 0;
}

/* daemon VERB...: runs the verb in a session of its own, double-forked away */
static int run(int count, char **words);
static int verb_daemon(int count, char **words)
{
	pid_t middle = fork();

	if (middle == 0) {
		setsid();
		if (fork() == 0) {
			_exit(run(count, words));
		}
		_exit(0);
	}
	return middle < 0 || waitpid(middle, NULL, 0) < 0;
}

/* fork COUNT: makes COUNT children that sleep, says how many could be made */
static int verb_fork(int count, char **words)
{
	long made = 0;

	for (long i = number(count ? words[0] : "1"); i > 0; i--) {
		pid_t child = fork();

		if (child == 0) {
			pause();
			_exit(0);
		}
		if (child > 0) {
			made++;
		}
	}
	printf("forked %ld\n", made);
	fflush(stdout);
	return 0;
}

static int listen_on(int type, const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)number(port)) };
	int on = 1, s = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (s < 0 || bind(s, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		(type == SOCK_STREAM && listen(s, 64) < 0)) {
		fprintf(stderr, "listen on %s: %s\n", port, strerror(errno));
		exit(1);
	}
	return s;
}

/* tcp-server PORT TEXT: sends "TEXT PEER-ADDRESS" to whoever connects, until TERM */
static int verb_tcp_server(int count, char **words)
{
	int s = listen_on(SOCK_STREAM, words[0]);

	catch (SIGTERM, on_signal);
	printf("listening\n");
	fflush(stdout);
	while (!got_signal) {
		struct sockaddr_in peer;
		socklen_t size = sizeof(peer);
		int c = accept(s, (struct sockaddr *)&peer, &size);

		if (c >= 0) {
			dprintf(c, "%s %s\n", count > 1 ? words[1] : "hello",
				inet_ntoa(peer.sin_addr));
			close(c);
		}
	}
	return 0;
}

/* udp-server PORT TEXT: answers each datagram with "TEXT", until TERM */
static int verb_udp_server(int count, char **words)
{
	int s = listen_on(SOCK_DGRAM, words[0]);
	const char *text = count > 1 ? words[1] : "hello";

	catch (SIGTERM, on_signal);
	printf("listening\n");
	fflush(stdout);
	while (!got_signal) {
		char data[512];
		struct sockaddr_in peer;
		socklen_t size = sizeof(peer);

		if (recvfrom(s, data, sizeof(data), 0, (struct sockaddr *)&peer, &size) >= 0) {
			sendto(s, text, strlen(text), 0, (struct sockaddr *)&peer, size);
		}
	}
	return 0;
}

/*
 * Asks the resolver of /etc/resolv.conf for A records by hand: static programs have no NSS.
 * Returns the response code, or -1; addresses in network byte order.
 */
static int query(const char *name, int type, bool tcp, uint32_t *addresses, int max, int *found)
{
	unsigned char packet[4096] = { 0x12, 0x34, 1, 0, 0, 1 };
	size_t at = 12;
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons(53) };
	struct timeval limit = { .tv_sec = 5 };
	char line[256], text[64] = "127.0.0.11";
	FILE *conf = fopen("/etc/resolv.conf", "re");
	int s = socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	ssize_t n;

	while (conf && fgets(line, sizeof(line), conf)) {
		if (sscanf(line, "nameserver %63s", text) == 1) {
			break;
		}
	}
	if (conf) {
		fclose(conf);
	}
	inet_pton(AF_INET, text, &server.sin_addr);
	for (const char *p = name; *p;) {
		size_t length = strcspn(p, ".");

		packet[at++] = (unsigned char)length;
		memcpy(packet + at, p, length);
		at += length;
		p += length + (p[length] == '.');
	}
	at++;
	packet[at + 1] = (unsigned char)type;
	packet[at + 3] = 1;
	at += 4;
	*found = 0;
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(s, (struct sockaddr *)&server, sizeof(server)) < 0) {
		return -1;
	}
	if (tcp) {
		unsigned char head[2] = { (unsigned char)(at >> 8), (unsigned char)at };

		if (write(s, head, 2) != 2 || write(s, packet, at) != (ssize_t)at ||
			read(s, head, 2) != 2) {
			return -1;
		}
	} else if (send(s, packet, at, 0) < 0) {
		return -1;
	}
	n = read(s, packet, sizeof(packet));
	close(s);
	if (n < 12) {
		return -1;
	}
	for (size_t p = at, answers = (size_t)(packet[6] << 8 | packet[7]);
		answers-- && p + 12 <= (size_t)n;) {
		size_t length;

		while (packet[p] && (packet[p] & 0xc0) != 0xc0) {
			p += packet[p] + 1u;
		}
		p += (packet[p] & 0xc0) == 0xc0 ? 2 : 1;
		length = (size_t)(packet[p + 8] << 8 | packet[p + 9]);
		if (packet[p + 1] == 1 && length == 4 && *found < max) {
			memcpy(&addresses[(*found)++], packet + p + 10, 4);
		}
		p += 10 + length;
	}
	return packet[3] & 15;
}

/* resolve NAME [tcp]: prints the response code and the addresses, sorted as received */
static int verb_resolve(int count, char **words)
{
	uint32_t addresses[64] = { 0 };
	int found, code = query(words[0], 1, count > 1, addresses, 64, &found);

	printf("rcode %d", code);
	for (int i = 0; i < found; i++) {
		printf(" %s", inet_ntoa((struct in_addr){ addresses[i] }));
	}
	printf("\n");
	return code == 0 && found ? 0 : 1;
}

/* fetch HOST PORT [udp]: prints what the server sends */
static int verb_fetch(int count, char **words)
{
	struct sockaddr_in server = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)number(words[1])) };
	struct timeval limit = { .tv_sec = 5 };
	char data[4096];
	int found, s = socket(AF_INET, (count > 2 ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	ssize_t n;

	if (inet_pton(AF_INET, words[0], &server.sin_addr) != 1 &&
		(query(words[0], 1, false, &server.sin_addr.s_addr, 1, &found) != 0 || !found)) {
		fprintf(stderr, "%s: not found\n", words[0]);
		return 1;
	}
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(s, (struct sockaddr *)&server, sizeof(server)) < 0 || send(s, "x", 1, 0) < 0) {
		fprintf(stderr, "%s: %s\n", words[0], strerror(errno));
		return 1;
	}
	n = read(s, data, sizeof(data));
	if (n <= 0) {
		fprintf(stderr, "%s: %s\n", words[0], n ? strerror(errno) : "closed");
		return 1;
	}
	return fwrite(data, 1, (size_t)n, stdout) != (size_t)n;
}

/* id: uid, gid and supplementary groups */
static int verb_id(int count, char **words)
{
	gid_t groups[64];
	int n = getgroups(64, groups);

	(void)count;
	(void)words;
	printf("uid=%d gid=%d groups=", (int)getuid(), (int)getgid());
	for (int i = 0; i < n; i++) {
		printf("%s%d", i ? "," : "", (int)groups[i]);
	}
	printf("\n");
	return 0;
}

extern char **environ;

static int verb_env(int count, char **words)
{
	for (char **e = environ; *e; e++) {
		if (count == 0) {
			printf("%s\n", *e);
		} else if (strncmp(*e, words[0], strlen(words[0])) == 0 &&
			   (*e)[strlen(words[0])] == '=') {
			printf("%s\n", *e + strlen(words[0]) + 1);
		}
	}
	return 0;
}

static int verb_hostname(int count, char **words)
{
	char name[256] = "";

	(void)count;
	(void)words;
	gethostname(name, sizeof(name) - 1);
	printf("%s\n", name);
	return 0;
}

static int verb_pwd(int count, char **words)
{
	char path[4096];

	(void)count;
	(void)words;
	printf("%s\n", getcwd(path, sizeof(path)) ? path : strerror(errno));
	return 0;
}

/* fds: the numbers of the open descriptors */
static int verb_fds(int count, char **words)
{
	(void)count;
	(void)words;
	for (int fd = 0; fd < 4096; fd++) {
		if (fcntl(fd, F_GETFD) >= 0) {
			printf("%d ", fd);
		}
	}
	printf("\n");
	return 0;
}

/* stat PATH: mode, owner and size */
static int verb_stat(int count, char **words)
{
	struct stat st;

	if (count != 1 || stat(words[0], &st) < 0) {
		fprintf(stderr, "stat: %s\n", strerror(errno));
		return 1;
	}
	printf("%o %d:%d %lld\n", (unsigned)st.st_mode & 07777, (int)st.st_uid, (int)st.st_gid,
		(long long)st.st_size);
	return 0;
}

static int verb_rlimit(int count, char **words)
{
	struct rlimit limit;

	if (count != 1 || getrlimit((unsigned)number(words[0]), &limit) < 0) {
		return 1;
	}
	printf("%lld %lld\n", (long long)limit.rlim_cur, (long long)limit.rlim_max);
	return 0;
}

/* tty: whether 0, 1 and 2 are terminals, and their size */
static int verb_tty(int count, char **words)
{
	(void)count;
	(void)words;
	printf("%d %d %d\n", isatty(0), isatty(1), isatty(2));
	return 0;
}

/* stamp: prints CLOCK_MONOTONIC in microseconds */
static int verb_stamp(int count, char **words)
{
	struct timespec t;

	(void)count;
	(void)words;
	clock_gettime(CLOCK_MONOTONIC, &t);
	printf("stamp %lld\n", (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000);
	return fflush(stdout);
}

/* kill-self SIGNAL */
static int verb_kill_self(int count, char **words)
{
	if (count == 1) {
		catch ((int)number(words[0]), SIG_DFL);
		raise((int)number(words[0]));
	}
	return 1;
}

/* child VERB...: runs the verb in a child (which is not PID 1) and returns its status */
static int verb_child(int count, char **words)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		_exit(run(count, words));
	}
	if (child < 0 || waitpid(child, &status, 0) < 0) {
		return 1;
	}
	printf("child %s %d\n", WIFSIGNALED(status) ? "signal" : "exit",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	fflush(stdout);
	return 0;
}

/* cleanup FILE MS: on TERM works for MS milliseconds, then writes FILE and exits 0 */
static int verb_cleanup(int count, char **words)
{
	catch (SIGTERM, on_signal);
	while (!got_signal) {
		nap_us(1000000000L);
	}
	nap_us(number(count > 1 ? words[1] : "100") * 1000);
	exit(verb_write(2, (char *[]){ words[0], (char *)"done" }));
}

static const struct {
	const char *name;
	int (*run)(int count, char **words);
	int words; /* at least */
} verbs[] = {
	{ "cat", verb_cat, 0 },
	{ "child", verb_child, 1 },
	{ "cleanup", verb_cleanup, 1 },
	{ "counter", verb_counter, 0 },
	{ "daemon", verb_daemon, 1 },
	{ "eat-memory", verb_eat_memory, 1 },
	{ "echo", verb_echo, 0 },
	{ "emit", verb_emit, 1 },
	{ "env", verb_env, 0 },
	{ "exists", verb_exists, 1 },
	{ "exit", verb_exit, 0 },
	{ "fds", verb_fds, 0 },
	{ "fetch", verb_fetch, 2 },
	{ "flood", verb_flood, 0 },
	{ "forever", verb_forever, 0 },
	{ "fork", verb_fork, 1 },
	{ "hostname", verb_hostname, 0 },
	{ "id", verb_id, 0 },
	{ "ignore-term", verb_ignore_term, 0 },
	{ "kill-self", verb_kill_self, 1 },
	{ "pwd", verb_pwd, 0 },
	{ "resolve", verb_resolve, 1 },
	{ "rlimit", verb_rlimit, 1 },
	{ "serve", verb_serve, 0 },
	{ "sleep-ms", verb_sleep_ms, 1 },
	{ "spawn-orphans", verb_spawn_orphans, 1 },
	{ "stamp", verb_stamp, 0 },
	{ "stat", verb_stat, 1 },
	{ "stderr", verb_stderr, 0 },
	{ "tcp-server", verb_tcp_server, 1 },
	{ "tty", verb_tty, 0 },
	{ "udp-server", verb_udp_server, 1 },
	{ "unlink", verb_unlink, 1 },
	{ "write", verb_write, 2 },
};

static int run_one(int count, char **words)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (count > 0 && strcmp(verbs[i].name, words[0]) == 0 &&
			count - 1 >= verbs[i].words) {
			return verbs[i].run(count - 1, words + 1);
		}
	}
	fprintf(stderr, "payload: unknown verb or missing words: %s\n", count ? words[0] : "");
	return 2;
}

static int run(int count, char **words)
{
	int status = 0;

	for (int from = 0; from < count && status == 0;) {
		int to = from;

		while (to < count && strcmp(words[to], "--") != 0) {
			to++;
		}
		status = run_one(to - from, words + from);
		fflush(stdout);
		from = to + 1;
	}
	return status;
}

int main(int argc, char **argv)
{
	return run(argc - 1, argv + 1);
}
