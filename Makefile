# boxd for Lua. `make` builds build/boxd.so and build/boxdlua.
# Every package needed is named in scripts/deps.
#
#: all           build boxd.so, boxdlua and libboxd.a (the default)
#: check         lint everything and build with warnings as errors
#: quick         the fast specs, in under a minute
#: test          every spec; SPEC="FILE ..." for some
#: install       into PREFIX (/usr/local), below DESTDIR; uninstall: remove that
#: doc           the API reference: Markdown, HTML and a manual page
#: clean         remove BUILD (build)

PREFIX ?= /usr/local
DESTDIR ?=
PKG_CONFIG ?= pkg-config
# make ARCH=aarch64: for another processor, by Debian's cross compilers and the
# libraries of that architecture, in a folder of its own.
ifdef ARCH
BUILD ?= build/$(ARCH)
CC := $(ARCH)-linux-gnu-gcc
CXX := $(ARCH)-linux-gnu-g++
PKG_CONFIG := $(ARCH)-linux-gnu-pkg-config
endif
BUILD ?= build
# A build folder is for one Lua, which it is made for until another is named:
# `sudo make install` does not get the variables of `make`.
BUILT_FOR := $(file < $(BUILD)/built-for)
# The names that systems have for Lua and for its headers.
ifeq ($(origin LUA),undefined)
LUA := $(or $(word 1,$(BUILT_FOR)),$(firstword $(foreach p,lua5.4 lua-5.4 lua54 \
  lua5.5 lua-5.5 lua55,$(shell command -v $(p))) lua))
endif
LUA_VERSION ?= $(shell $(LUA) -e 'print(_VERSION:match "%d.%d")' 2>/dev/null || echo 5.4)
LUA_VERSION := $(LUA_VERSION)
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib/lua/$(LUA_VERSION)
LUADIR ?= $(PREFIX)/share/lua/$(LUA_VERSION)
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/boxd
INCLUDEDIR ?= $(PREFIX)/include
STATICDIR ?= $(PREFIX)/lib
PKGCONFIGDIR ?= $(STATICDIR)/pkgconfig
ifeq ($(origin LUA_PC),undefined)
LUA_PC := $(or $(shell for p in lua$(LUA_VERSION) lua-$(LUA_VERSION) \
  lua$(subst .,,$(LUA_VERSION)) lua; do \
  $(PKG_CONFIG) --exists "$$p >= $(LUA_VERSION)" && echo $$p && break; done \
  2>/dev/null),lua$(LUA_VERSION))
endif
CC ?= cc
# The newest clang of this machine.
CLANG ?= $(or $(notdir $(lastword $(sort $(wildcard /usr/bin/clang-[1-9][0-9])))),clang)
INSTALL ?= install

OPT ?= -O2 -g
WARN := -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes
CFLAGS ?=
SANITIZE ?=

# pkg-config takes a second to read gRPC's hundred files: what it says is kept
# in the build folder, and asked again when the Makefile changes.
LIBS := $(BUILD)/libs-$(LUA_PC).mk
-include $(LIBS)
DEPS := grpc libprotobuf-c libcjson libcurl openssl

ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -pthread \
  -ffunction-sections -fdata-sections -ffile-prefix-map=$(CURDIR)=. \
  $(OPT) $(WARN) $(SANITIZE) \
  -Isrc -I$(BUILD)/proto $(DEP_CFLAGS) $(CFLAGS)

# gRPC and the C++ library linked statically halve the time boxdlua takes to
# start, and let its locks be plain. OpenSSL stays shared: the system's security
# updates reach it. GRPC_STATIC is empty where the static libraries do not fit.
#
# gRPC wipes what it frees: its buffers for TLS have had tokens. Shared, it
# finds our gpr_free first, as with boxd.so: src/bind/so/free.c.
COMMON_LIBS := -lprotobuf-c -lcjson -lssl -lcrypto -lm -ldl
ifeq ($(GRPC_STATIC),)
GRPC_LINK := -lgrpc -lgpr -lprotobuf-c -lz
GRPC_PART := src/bind/so/free.o
else
GRPC_LINK := $(GRPC_STATIC)
WIPE_GRPC := -Wl,--wrap=gpr_free -Wl,--defsym=__wrap_gpr_free=bx_wipe_free
GRPC_PART := src/boxdlua/locks.o
endif

SO_SRC := $(wildcard src/core/*.c) \
  $(wildcard src/bind/*.c)
EXE_SRC := $(wildcard src/boxdlua/*.c src/server/*.c src/bind/serve/*.c) \
  $(wildcard src/sandbox/*.c src/sandbox/*/*.c)
VERSION := $(shell sed -n 's/.*BX_VERSION "\(.*\)"/\1/p' src/core/version.h)
LUA_SRC := $(sort $(shell find lua -name '*.lua' 2>/dev/null))
# Annotations are for editors: nothing loads them.
LUA_TYPES := $(filter lua/boxd/types/%,$(LUA_SRC))
LUA_EMBEDDED := $(filter-out $(LUA_TYPES),$(LUA_SRC))

# What boxd.so carries: what boxdlua alone runs stays out.
LUA_CLIENT := $(filter-out lua/boxd/local/% lua/boxd/cli/%,$(LUA_EMBEDDED))
SO_OBJ := $(SO_SRC:%.c=$(BUILD)/%.o) $(BUILD)/proto/boxd.pb-c.o \
  $(BUILD)/embedded_so.o
EXE_OBJ := $(EXE_SRC:%.c=$(BUILD)/%.o) $(BUILD)/embedded.o \
  $(BUILD)/$(GRPC_PART) \
  $(BUILD)/proto/boxd_desc.o $(BUILD)/sudo_program.o

.PHONY: all help test quick soak storm faults flat everyday mutated handovers check check-lua check-sh check-c \
  check-build analyze asan coverage gc valgrind install install-lua install-embed uninstall clean e2e
all: $(BUILD)/boxd.so $(BUILD)/boxdlua $(BUILD)/libboxd.a

include proto/rules.mk
include scripts/bench/rules.mk
include scripts/torture/rules.mk
include rockspec/rules.mk
include spec/fuzz/rules.mk
include scripts/doc/rules.mk
include scripts/package/rules.mk

# nodelete: gRPC's threads may outlive a lua_close.
$(BUILD)/boxd.so: $(SO_OBJ) $(BUILD)/src/bind/so/free.o
	$(CC) -shared $(SANITIZE) $(LDFLAGS) -Wl,-z,nodelete -Wl,--gc-sections \
	  -o $@ $^ -lgrpc -lgpr $(COMMON_LIBS) -pthread

# Debian 13's grpc.pc leaves out re2, whose code needs more of abseil there. A
# program that starts gRPC tells whether the static libraries are there and of
# one kind.
$(LIBS): Makefile
	@mkdir -p $(@D)
	@lua=$$($(PKG_CONFIG) --cflags $(LUA_PC)) && \
	  lib=$$($(PKG_CONFIG) --libs-only-l $(LUA_PC) | grep -o -e '-llua[^ ]*') && \
	  lib="-Wl,-Bstatic $$lib -Wl,-Bdynamic" && \
	  { echo 'int luaL_openlibs(void); int main(void) { luaL_openlibs(); }' | \
	    $(CC) -o $@.try -x c - -x none $$lib -ldl -lm 2>/dev/null || \
	    lib=$$($(PKG_CONFIG) --libs $(LUA_PC)); } && \
	  deps=$$($(PKG_CONFIG) --cflags $(DEPS)) && \
	  grpc=$$($(PKG_CONFIG) --static --libs grpc re2 2>/dev/null | tr ' ' '\n' | sort -u | \
	    grep -xE -e '-l(grpc|gpr|address_sorting|re2|cares|upb.*|utf8_.*|absl_.*)'; :) && \
	  static="-Wl,-Bstatic -Wl,--start-group $$(echo $$grpc) -Wl,--end-group" && \
	  static="$$static -lprotobuf-c -lz -lstdc++ -Wl,-Bdynamic" && \
	  { echo 'extern "C" { void grpc_init(void); void host_plain_locks(void); }' \
	      'int main() { host_plain_locks(); grpc_init(); }' | \
	    $(CXX) -o $@.try src/boxdlua/locks.cc -x c++ - -x none $$static \
	      -lssl -lcrypto -ldl -lm -pthread 2>$@.why || \
	    { static=; echo "gRPC's static libraries do not fit ($@.why): boxdlua" \
	      "needs the shared ones, starts later and has abseil's own locks" >&2; }; } && \
	  rm -f $@.try && \
	  printf '%s\n' "LUA_CFLAGS := $$lua" "LUA_LINK := $$lib" "DEP_CFLAGS := $$deps" \
	    "GRPC_STATIC := $$static" > $@

# For programs with a Lua of their own: D leaves out times and owners.
$(BUILD)/libboxd.a: $(SO_OBJ)
	rm -f $@
	$(AR) rcsD $@ $^

# Scripts load C modules into boxdlua: they need Lua's own symbols, no others.
$(BUILD)/lua.sym: | $(BUILD)
	echo '{ lua_*; luaL_*; luaopen_*; };' > $@

$(BUILD)/boxdlua: $(SO_OBJ) $(EXE_OBJ) $(BUILD)/lua.sym
	$(CC) $(SANITIZE) $(LDFLAGS) -static-libgcc -Wl,--gc-sections $(WIPE_GRPC) \
	  -Wl,--dynamic-list=$(BUILD)/lua.sym -o $@ $(SO_OBJ) $(EXE_OBJ) \
	  $(LUA_LINK) $(GRPC_LINK) \
	  -lcjson -lssl -lcrypto -ldl -lm -pthread

# The folders too: a file that was removed must go.
$(BUILD)/embedded.c: scripts/embed.lua $(LUA_EMBEDDED) $(sort $(dir $(LUA_SRC))) \
    | $(BUILD)
	$(LUA) scripts/embed.lua $(LUA_EMBEDDED) > $@.new && mv $@.new $@

$(BUILD)/embedded_so.c: scripts/embed.lua $(LUA_CLIENT) $(sort $(dir $(LUA_SRC))) \
    | $(BUILD)
	$(LUA) scripts/embed.lua --text $(LUA_CLIENT) > $@.new && mv $@.new $@

# Objects for another Lua are of no use: they are made anew.
ifneq ($(lastword $(BUILT_FOR)),$(LUA_PC))
.PHONY: $(BUILD)/built-for
endif
$(BUILD)/built-for: | $(BUILD)
	@echo '$(LUA) $(LUA_PC)' > $@

$(BUILD)/%.o: %.c $(BUILD)/proto/boxd.pb-c.h $(BUILD)/built-for
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LUA_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/%.o: %.cc
	@mkdir -p $(@D)
	$(CXX) $(OPT) -Wall -Wextra $(SANITIZE) -fPIC -ffunction-sections \
	  -fdata-sections -ffile-prefix-map=$(CURDIR)=. -MMD -MP -c -o $@ $<

# Generated code meets our flags except the warnings.
$(BUILD)/%.o: $(BUILD)/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LUA_CFLAGS) -w -MMD -MP -c -o $@ $<

# sudo of boxes, a program of its own that boxdlua carries: as plain as it is.
$(BUILD)/sudo: src/sudo/sudo.c | $(BUILD)
	$(CC) -std=c11 -D_GNU_SOURCE -Os $(WARN) $(CFLAGS) -fPIE -pie -s \
	  -Wl,-z,relro,-z,now -o $@ $<

$(BUILD)/sudo_program.c: $(BUILD)/sudo
	{ echo 'const unsigned char bx_sudo_program[] = {'; \
	  od -An -v -tu1 $< | sed 's/[0-9][0-9]*/&,/g'; \
	  echo '}; const unsigned long bx_sudo_size = sizeof bx_sudo_program;'; \
	} > $@.new && mv $@.new $@

$(BUILD):
	mkdir -p $@

help:
	@sed -n 's/^#: /make /p' $(MAKEFILE_LIST)

test: all
	sh scripts/test $(SPEC)

# The client without what waits for leases, real boxes, the options and exit of
# boxdlua, and what the README promises.
quick: all
	sh scripts/test $$(ls spec/api/*_spec.lua spec/core/*_spec.lua \
	  spec/contract/*_spec.lua spec/local/exec_spec.lua \
	  spec/boxdlua/options_spec.lua spec/boxdlua/exit_spec.lua \
	  spec/docs/readme_spec.lua | xargs grep -L '^-- Runs first: ' | \
	  grep -v -e /lease_spec -e /progress_spec)

#: soak          look long for rare faults: boxes, kills of the service
# Boxes made and destroyed 1000 times, and 1000 scripts ended at any moment,
# which must leave nothing; the embedded service killed 100 times under load,
# which must lose nothing.
soak: all
	BOXD_ROUNDS=1000 BOXD_SOAK=100 BOXD_INTERRUPTS=1000 BOXD_TEST_LIMIT=3600 \
	  sh scripts/test spec/local/interrupts_spec.lua \
	  spec/sandbox/spawn_ends_spec.lua spec/local/model_spec.lua

#: faults        networks and system calls that fail, with figures
# What the table in scripts/torture/README.md has from here, with its figures.
faults: all
	BOXD_FIGURES=1 sh scripts/test $(sort $(filter-out %/flat_spec.lua \
	  %/garbage_spec.lua %/torture_spec.lua,$(wildcard spec/faults/*_spec.lua))) \
	  spec/core/auth_spec.lua spec/contract/conformance_tls_spec.lua \
	  spec/module/host_spec.lua

#: storm         random calls on boxes that others stop and destroy
# 20,000 calls for each of ten seeds: a quarter of an hour and more.
storm: all
	BOXD_STORM=20000 BOXD_SEEDS=10 BOXD_TEST_LIMIT=3600 sh scripts/test \
	  spec/faults/storm_spec.lua

#: flat          memory at full size
# Memory at full size: 1 GiB each way, a minute unread, 100,000 calls.
flat: all
	BOXD_FLAT=1 sh scripts/test spec/faults/flat_spec.lua

#: everyday      10 GiB of a job's output, scripts killed often, much by forward
everyday: all
	BOXD_EVERYDAY=1 BOXD_KILLS=20 BOXD_TEST_LIMIT=3600 sh scripts/test \
	  spec/faults/follow_spec.lua spec/faults/killed_spec.lua \
	  spec/local/forward_rate_spec.lua

#: mutated       a million mutated messages, read by record and by decoder
mutated: all
	BOXD_MUTATIONS=1000000 BOXD_TEST_LIMIT=3600 sh scripts/test \
	  spec/contract/mutated_spec.lua

#: handovers     a million hand-overs between boxd and each other event loop
handovers: all
	BOXD_HANDOVERS=1000000 BOXD_TEST_LIMIT=3600 sh scripts/test \
	  spec/loops/adapters_spec.lua

check:
	@$(MAKE) -s -j$$(nproc) check-lua check-sh check-c check-build

check-lua:
	luacheck -q lua spec scripts

check-sh:
	shellcheck .ci/run $$(grep -l '^#!/bin/sh' scripts/* scripts/*/* spec/support/* 2>/dev/null)

# It does not see gRPC's types, so what it says of them is false.
check-c: $(BUILD)/proto/boxd.pb-c.h
	cppcheck -q --std=c11 --enable=warning,performance,portability \
	  --inline-suppr --suppress=missingIncludeSystem \
	  --suppress=legacyUninitvar --error-exitcode=1 -Isrc -I$(BUILD)/proto \
	  src scripts/bench scripts/torture spec/fuzz

check-build:
	$(MAKE) BUILD=$(BUILD)/check CFLAGS=-Werror all

#: analyze       every C file by clang's static analyzer, in some minutes
analyze: $(BUILD)/proto/boxd.pb-c.h
	find src scripts spec -name '*.c' | LC_ALL=C sort | xargs -P $$(nproc) -n 1 \
	  $(CLANG) --analyze -Xclang -analyzer-werror -Xclang -analyzer-output=text \
	  $(filter-out -f% -g -W%,$(ALL_CFLAGS)) $(LUA_CFLAGS)

# For editors: how each C file is compiled.
compile_commands.json: Makefile
	@{ sep='['; for f in $(SO_SRC) $(EXE_SRC) src/sudo/sudo.c; do \
	  printf '%s\n{"directory": "%s", "file": "%s", "command": "%s"}' "$$sep" \
	    '$(CURDIR)' "$$f" '$(strip $(CC) $(ALL_CFLAGS) $(LUA_CFLAGS)) -c '"$$f"; \
	  sep=,; done; echo; echo ']'; } > $@

#: compile_commands.json   how each C file is compiled, for editors
#: asan          the specs under address and undefined-behaviour sanitizers
asan:
	sh scripts/asan

#: coverage      which lines of C the specs reach, in every process
coverage:
	sh scripts/coverage $(SPEC)

#: valgrind      the specs that are mostly about C, under valgrind
# What is C mostly, without a byte lost or read wrongly: some minutes.
valgrind:
	sh scripts/valgrind

#: gc            the specs with Lua's collector always at work
# With Lua's garbage collector at work all the time.
gc:
	sh scripts/gc

#: e2e           against the service that the environment names
# Against the service that BOXD_API_KEY or BOXD_TOKEN, and BOXD_API_URL and
# BOXD_EXCHANGE_URL if need be, name; skipped, with a line, when none is named.
e2e: all
	$(BUILD)/boxdlua "$$(command -v busted)" --ignore-lua -o plainTerminal \
	  spec/e2e

#: provision-real   the examples of provision, in boxes with systemd and apt
# On the service that the environment names; REAL="--local" for boxes here.
.PHONY: provision-real
provision-real: all
	PASSWORD=$${PASSWORD:-change-me} $(BUILD)/boxdlua $(REAL) \
	  scripts/provision_real.lua

install: install-lua install-embed install-doc

# What scripts need, and annotations for editors: all that a rock holds.
install-lua: $(BUILD)/boxd.so $(BUILD)/boxdlua
	$(INSTALL) -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(LIBDIR)"
	$(INSTALL) -m 755 $(BUILD)/boxdlua "$(DESTDIR)$(BINDIR)/boxdlua"
	$(INSTALL) -m 755 $(BUILD)/boxd.so "$(DESTDIR)$(LIBDIR)/boxd.so"
	for f in $(LUA_TYPES:lua/%=%); do \
	  $(INSTALL) -D -m 644 lua/$$f "$(DESTDIR)$(LUADIR)/$$f" || exit 1; done
	$(INSTALL) -D -m 644 src/boxdlua/boxdlua.1 "$(DESTDIR)$(MANDIR)/man1/boxdlua.1"

# What C programs need that embed Lua.
install-embed: $(BUILD)/libboxd.a
	$(INSTALL) -D -m 644 src/boxd.h "$(DESTDIR)$(INCLUDEDIR)/boxd.h"
	$(INSTALL) -D -m 644 $< "$(DESTDIR)$(STATICDIR)/libboxd.a"
	$(INSTALL) -d "$(DESTDIR)$(PKGCONFIGDIR)"
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
	  -e 's|@STATICDIR@|$(STATICDIR)|' -e 's|@LUA_PC@|$(LUA_PC)|' \
	  -e 's|@VERSION@|$(VERSION)|' src/boxd.pc.in \
	  > "$(DESTDIR)$(PKGCONFIGDIR)/boxd.pc"
	chmod 644 "$(DESTDIR)$(PKGCONFIGDIR)/boxd.pc"

# The files of `install`, the folders that are only ours, and those that they
# needed and nothing else is in.
uninstall:
	rm -f "$(DESTDIR)$(BINDIR)/boxdlua" "$(DESTDIR)$(LIBDIR)/boxd.so" \
	  "$(DESTDIR)$(MANDIR)/man1/boxdlua.1" "$(DESTDIR)$(MANDIR)/man3/boxd.3" \
	  "$(DESTDIR)$(INCLUDEDIR)/boxd.h" "$(DESTDIR)$(STATICDIR)/libboxd.a" \
	  "$(DESTDIR)$(PKGCONFIGDIR)/boxd.pc"
	rm -rf "$(DESTDIR)$(LUADIR)/boxd" "$(DESTDIR)$(DOCDIR)"
	for d in "$(LIBDIR)" "$(LIBDIR)/.." "$(LUADIR)" "$(LUADIR)/.." "$(DOCDIR)/.." \
	    "$(MANDIR)/man1" "$(MANDIR)/man3" "$(PKGCONFIGDIR)"; do \
	  d=$$(realpath -qm "$(DESTDIR)$$d"); \
	  [ ! -d "$$d" ] || rmdir --ignore-fail-on-non-empty "$$d"; done

clean:
	rm -rf $(BUILD)

-include $(SO_OBJ:.o=.d) $(EXE_OBJ:.o=.d)
