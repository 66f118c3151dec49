# wherry: see README.md for the two commands, ARCHITECTURE.md for the parts.
#
#   make [STATIC=1] [SANITIZE=1] [CC=clang] [BUILD=dir]   programs in $(BUILD)/
#   make deps                install the Debian packages that build and tests need (as root)
#   make test                unit, sanitized unit, e2e, one VM boot, seconds of fuzzing
#   make test-unit test-e2e test-vm test-fuzz sanitize test-full
#   make lint bench demo install clean

CC       ?= gcc
BUILD    ?= build
PREFIX   ?= /usr/local
DESTDIR  ?=
VERSION  := 0.1.0

ifeq ($(origin CC),default)
CC := gcc
endif

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
CFLAGS   ?= -O2 -g
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -DWHERRY_VERSION='"$(VERSION)"' $(WARNINGS) $(CFLAGS) \
	-fno-strict-aliasing -fstack-protector-strong -ffunction-sections -fdata-sections -I. -I$(BUILD)/gen $(PKG_CFLAGS)
ALL_LDFLAGS = -Wl,--gc-sections -Wl,-z,relro,-z,now $(LDFLAGS)

CORE_PKGS  := libseccomp libcap yaml-0.1 libnl-3.0 libnl-route-3.0 jansson
IMAGE_PKGS := libarchive libisal libzstd zlib libcurl libcrypto
TEST_PKGS  := cmocka
PKG_CFLAGS := $(shell pkg-config --cflags $(CORE_PKGS) $(IMAGE_PKGS) $(TEST_PKGS) 2>/dev/null)

ifdef STATIC
CORE_LIBS  = $(shell pkg-config --static --libs $(CORE_PKGS) 2>/dev/null)
ALL_LDFLAGS += -static
else
CORE_LIBS  = $(shell pkg-config --libs $(CORE_PKGS) 2>/dev/null)
endif
IMAGE_LIBS = $(shell pkg-config --libs $(IMAGE_PKGS) 2>/dev/null) -lm
TEST_LIBS  = $(shell pkg-config --libs $(TEST_PKGS) 2>/dev/null)

ifdef SANITIZE
BUILD    := $(if $(filter build,$(BUILD)),build-sanitize,$(BUILD))
CFLAGS   := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS  += -fsanitize=address,undefined
endif

# One library for everything below the command line; the image tool's own part is apart, so that
# its libraries never reach `wherry`.
LIB_SRC    := $(wildcard base/*.c specs/*.c runtime/*.c net/*.c rootfs-tools/*.c init/*.c)
CLI_SRC    := $(wildcard cli/*.c)
OCI_SRC    := $(wildcard cli/oci/*.c)
OCI_SHARED := cli/options.c cli/tty.c
IMAGE_SRC  := $(wildcard rootfs-tools/image/*.c)
UNIT_SRC   := $(wildcard tests/unit/test_*.c)
UNIT_HELP  := $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c))
SIM_SRC    := $(wildcard tests/sim/*.c)
FUZZ_SRC   := $(wildcard tests/fuzz/fuzz_*.c)
BENCH_SRC  := $(wildcard tests/bench/*.c)
ALL_SRC    := $(LIB_SRC) $(CLI_SRC) $(OCI_SRC) $(IMAGE_SRC) $(UNIT_SRC) $(UNIT_HELP) $(SIM_SRC) \
	$(BENCH_SRC) $(wildcard tools/*.c tests/payload/*.c init/pid1/*.c)
HEADERS    := $(wildcard base/*.h specs/*.h runtime/*.h net/*.h rootfs-tools/*.h rootfs-tools/image/*.h \
	init/*.h cli/*.h cli/oci/*.h tests/*/*.h)

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB       := $(BUILD)/libwherry.a
PROGRAMS  := $(BUILD)/wherry $(BUILD)/wherry-image $(BUILD)/wherry-oci
UNIT_BIN  := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(UNIT_SRC))
SIM_BIN   := $(patsubst tests/sim/%.c,$(BUILD)/tests/%,$(filter tests/sim/test_%,$(SIM_SRC)))
FUZZ_BIN  := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZ_SRC))
BENCH_BIN := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(BENCH_SRC))
PAYLOAD   := $(BUILD)/tests/payload

all: $(PROGRAMS)

.PHONY: all deps test test-unit test-e2e test-vm test-fuzz test-full sanitize lint format bench demo \
	install clean tests-build

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

LIB_GEN    := $(BUILD)/obj/gen/seccomp_default.o $(BUILD)/obj/gen/pid1_blob.o
$(LIB): $(call obj,$(LIB_SRC)) $(LIB_GEN)
	@rm -f $@
	ar rcs $@ $^

# docker's default policy for the default capability set, compiled by libseccomp at build time.
GEN_SECCOMP_SRC := tools/gen_seccomp.c specs/docker_seccomp.c specs/seccomp_bpf.c base/error.c base/fd.c \
	base/file.c base/json.c base/mem.c base/sys.c
$(BUILD)/gen-seccomp: $(call obj,$(GEN_SECCOMP_SRC))
	$(CC) $(filter-out -static,$(ALL_LDFLAGS)) $^ $(shell pkg-config --libs $(CORE_PKGS)) -o $@
$(BUILD)/gen/seccomp_default.c: $(BUILD)/gen-seccomp
	@mkdir -p $(@D)
	$< > $@.tmp && mv $@.tmp $@
$(BUILD)/obj/gen/seccomp_default.o: $(BUILD)/gen/seccomp_default.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

$(BUILD)/wherry: $(call obj,$(CLI_SRC)) $(LIB)
	$(CC) $(ALL_LDFLAGS) $^ $(CORE_LIBS) -o $@
# Run once for each container: static, because loading shared libraries would be a good part of it.
$(BUILD)/wherry-oci: $(call obj,$(OCI_SRC) $(OCI_SHARED)) $(LIB)
	$(CC) $(ALL_LDFLAGS) $(if $(SANITIZE),,-static) $^ $(shell pkg-config --static --libs $(CORE_PKGS)) -o $@
$(BUILD)/wherry-image: $(call obj,$(IMAGE_SRC)) $(LIB)
	$(CC) $(filter-out -static,$(ALL_LDFLAGS)) $^ $(IMAGE_LIBS) \
		$(shell pkg-config --libs $(CORE_PKGS)) -o $@

# `init: true`: our own PID 1, freestanding and static, carried inside `wherry`.
$(BUILD)/wherry-init: init/pid1/pid1.c
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -D_GNU_SOURCE $(WARNINGS) -Os -static -I. $< -o $@
	strip $@
$(BUILD)/gen/pid1_blob.c: $(BUILD)/wherry-init
	@mkdir -p $(@D)
	(echo 'extern const unsigned char pid1_blob[]; extern const unsigned long pid1_blob_size;'; \
	 echo 'const unsigned char pid1_blob[] = {'; od -An -v -tx1 $< | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'; \
	 echo '}; const unsigned long pid1_blob_size = sizeof(pid1_blob);') > $@
$(BUILD)/obj/gen/pid1_blob.o: $(BUILD)/gen/pid1_blob.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

# Tests.
$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(call obj,$(UNIT_HELP)) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $^ $(CORE_LIBS) $(TEST_LIBS) -o $@
$(SIM_BIN): $(BUILD)/tests/%: $(BUILD)/obj/tests/sim/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $^ $(CORE_LIBS) $(TEST_LIBS) -o $@
# Units of the command line link its objects, all but main.
$(BUILD)/tests/test_cli_%: $(BUILD)/obj/tests/unit/test_cli_%.o $(call obj,$(filter-out cli/main.c,$(CLI_SRC))) \
		$(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $^ $(CORE_LIBS) $(TEST_LIBS) -o $@
# Units of the image tool's own code link it (and its libraries) too.
$(BUILD)/tests/test_image_%: $(BUILD)/obj/tests/unit/test_image_%.o $(call obj,$(UNIT_HELP)) \
	$(call obj,$(filter-out %/main.c,$(IMAGE_SRC))) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(filter-out -static,$(ALL_LDFLAGS)) $^ $(IMAGE_LIBS) \
		$(shell pkg-config --libs $(CORE_PKGS)) $(TEST_LIBS) -o $@
$(PAYLOAD): $(wildcard tests/payload/*.c)
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -D_GNU_SOURCE $(WARNINGS) -O2 -static -I. $^ -o $@
# The library again, by clang with coverage; the fuzzers differ in one file each.
FUZZ_FLAGS := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -Wno-missing-prototypes
FUZZ_OBJ   := $(patsubst %.c,$(BUILD)/fuzz/obj/%.o,$(LIB_SRC) gen/seccomp_default.c gen/pid1_blob.c)
$(BUILD)/fuzz/obj/gen/%.o: $(BUILD)/gen/%.c
	@mkdir -p $(@D)
	clang $(filter-out -O2 -g,$(ALL_CFLAGS)) $(FUZZ_FLAGS) -c $< -o $@
$(BUILD)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	clang $(filter-out -O2 -g,$(ALL_CFLAGS)) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@
$(FUZZ_BIN): $(BUILD)/fuzz/%: $(BUILD)/fuzz/obj/tests/fuzz/%.o $(FUZZ_OBJ)
	clang $(FUZZ_FLAGS) -fsanitize=fuzzer $^ $(CORE_LIBS) -o $@
$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $^ $(CORE_LIBS) -o $@

tests-build: $(PROGRAMS) $(UNIT_BIN) $(SIM_BIN) $(PAYLOAD)

deps:
	@packaging/deps

test: deps
	@tests/run ci
test-unit: tests-build
	@tests/run unit
test-e2e: tests-build
	@tests/run e2e
test-vm: tests-build
	@tests/run vm
test-fuzz: $(FUZZ_BIN)
	@tests/run fuzz
sanitize:
	@tests/run sanitize
test-full: deps
	@tests/run full
bench: $(PROGRAMS) $(BENCH_BIN)
	@tests/bench/run
demo: deps
	@$(MAKE) --no-print-directory -s all
	@examples/quickstart/demo
lint:
	@tests/lint $(ALL_SRC) $(HEADERS)
format:
	clang-format -i $(ALL_SRC) $(HEADERS)

install: $(PROGRAMS)
	install -D -m 0755 $(BUILD)/wherry $(DESTDIR)$(PREFIX)/bin/wherry
	install -D -m 0755 $(BUILD)/wherry-image $(DESTDIR)$(PREFIX)/bin/wherry-image
	install -D -m 0755 $(BUILD)/wherry-oci $(DESTDIR)$(PREFIX)/bin/wherry-oci
clean:
	rm -rf $(BUILD) build-sanitize

-include $(shell find $(BUILD)/obj $(BUILD)/fuzz/obj -name '*.d' 2>/dev/null)
.SECONDARY:
