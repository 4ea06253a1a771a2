#: torture       every allocation fails once; QUICK=1 for a sample
# Allocations that fail, one after the other: `make torture`. The client's
# objects and the service's are linked anew, with their malloc and its like going by fault.c;
# boxdlua and boxd.so have nothing of it. gRPC is linked dynamically, so that
# its own are left alone: it ends the process where it gets no memory.

TORTURE_WRAP := $(foreach f,malloc calloc realloc free strdup strndup \
  asprintf,-Wl,--wrap=$(f))

$(BUILD)/torture/%.o: scripts/torture/%.c scripts/torture/fault.h $(BUILD)/built-for
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LUA_CFLAGS) -c -o $@ $<

TORTURE_OBJ := $(SO_OBJ) $(BUILD)/proto/boxd_desc.o $(BUILD)/sudo_program.o \
  $(filter $(BUILD)/src/server/% $(BUILD)/src/sandbox/% \
    $(BUILD)/src/bind/serve/%,$(EXE_OBJ)) \
  $(BUILD)/torture/torture.o $(BUILD)/torture/fault.o

$(BUILD)/torture/torture: $(TORTURE_OBJ)
	$(CC) $(SANITIZE) $(LDFLAGS) $(TORTURE_WRAP) -o $@ $^ \
	  $(LUA_LINK) -lgrpc -lgpr $(COMMON_LIBS) \
	  -pthread

.PHONY: torture
torture: all $(BUILD)/torture/torture
	BUILD=$(BUILD) $(BUILD)/torture/torture scripts/torture/run.lua \
	  $(if $(QUICK),--quick)
