/*
 * Prints docker's default seccomp policy for the default capability set as C source, so that the
 * common case costs nothing at run time. Runs at build time, on the build machine.
 */
#include "base/json.h"
#include "specs/docker_defaults.h"
#include "specs/seccomp_bpf.h"

int main(void)
{
	_cleanup_json_ json_t *policy =
		docker_seccomp(DOCKER_DEFAULT_CAPS, docker_seccomp_kernel());
	struct error err = ERROR_INIT;
	struct seccomp_bpf program;

	if (seccomp_bpf_compile(policy, &program, &err) < 0) {
		fprintf(stderr, "gen-seccomp: %s\n", err.message);
		return 1;
	}
	printf("#include \"runtime/seccomp_prebuilt.h\"\n\n"
	       "const struct sock_filter seccomp_default_filter[] = {\n");
	for (unsigned i = 0; i < program.length; i++) {
		const struct sock_filter *f = &program.filter[i];

		printf("\t{ 0x%02x, %u, %u, 0x%08x },\n", f->code, f->jt, f->jf, f->k);
	}
	printf("};\nconst unsigned short seccomp_default_length = %u;\n"
	       "const unsigned seccomp_default_flags = %u;\n",
		program.length, program.flags);
	free(program.filter);
	return 0;
}
