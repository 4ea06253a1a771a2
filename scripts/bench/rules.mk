#: bench         speed against bare C and Python; QUICK=1 for a short one
#: bench-boxes   speed of local boxes
#: bench-provision  speed of provision, beside pyinfra
# The bench's programs, and `make bench`: ROUNDS=N, QUICK=1 for a short one.

BENCH_CFLAGS := -std=c11 -D_GNU_SOURCE -O2 -g $(WARN) -pthread \
  -I$(BUILD)/proto

$(BUILD)/bench/%: scripts/bench/%.c scripts/bench/wire.h
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -o $@ $(filter %.c %.o,$^) -lgrpc -lgpr \
	  -Wl,-Bstatic -lprotobuf-c -Wl,-Bdynamic

$(BUILD)/bench/client: $(BUILD)/proto/boxd.pb-c.o

$(BUILD)/bench/client_static: scripts/bench/client.c scripts/bench/wire.h \
    $(BUILD)/proto/boxd.pb-c.o
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -static-libgcc -ffunction-sections -Wl,--gc-sections \
	  -o $@.linked $(filter %.c %.o,$^) $(GRPC_LINK) -lssl -lcrypto -ldl -lm
	$(INSTALL) $@.linked $@

# Installed, as people have it: what the linker has just written is in small pieces
# in the page cache, and takes 6 % longer to start.
$(BUILD)/bench/boxdlua: $(BUILD)/boxdlua
	@mkdir -p $(@D)
	$(INSTALL) $< $@

.PHONY: bench bench-boxes bench-provision
bench: all $(addprefix $(BUILD)/bench/,server client client_static timed boxdlua)
	BUILD=$(BUILD) $(BUILD)/boxdlua scripts/bench/run.lua \
	  $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS))

# As root it runs for an ordinary user too, who must be able to read this.
BENCH_USER ?= nobody
bench-boxes: all
	BUILD=$(BUILD) $(BUILD)/boxdlua --local scripts/bench/boxes.lua
	[ "$$(id -u)" != 0 ] || { home=$$(mktemp -d) && \
	  chown $(BENCH_USER) $$home && \
	  BUILD=$(BUILD) HOME=$$home setpriv --reuid $(BENCH_USER) \
	  --regid nogroup --clear-groups $(BUILD)/boxdlua --local \
	  scripts/bench/boxes.lua; rm -rf $$home; }

bench-provision: all
	$(BUILD)/boxdlua --local scripts/bench/provision.lua
	@sh scripts/bench/pyinfra.sh $(BUILD)/bench/pyinfra
