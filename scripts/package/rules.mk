#: dist          a source archive, the same bytes for the same commit
#: deb           a Debian package of boxdlua, boxd.so and their documents
#: portable      a boxdlua that shares only libc and libm with the system
#: packages-real those two in bare systems, installed, run and removed
# Packages for people without a compiler. What they need beyond the build's
# packages: `scripts/deps deb`.

DIST := $(BUILD)/boxd-$(VERSION).tar.gz
PORTABLE := $(BUILD)/portable

.PHONY: dist deb portable
dist: | $(BUILD)
	git -c tar.umask=0022 archive --format=tar --prefix=boxd-$(VERSION)/ HEAD | gzip -n > $(DIST)
	@echo $(DIST)

deb: all
	MAKE="$(MAKE)" VERSION=$(VERSION) LUA_VERSION=$(LUA_VERSION) BUILD=$(BUILD) \
	  sh scripts/package/deb

# Debian has no static library of cJSON: its one file is compiled from Debian's
# source. libcurl and libedit are loaded when they are first needed, as always.
portable: $(PORTABLE)/boxdlua

$(PORTABLE)/cJSON.o:
	sh scripts/package/source cjson $(PORTABLE)/cjson
	$(CC) $(OPT) -fPIC -w -ffile-prefix-map=$(CURDIR)=. -c -o $@ \
	  $(PORTABLE)/cjson/cJSON.c

$(PORTABLE)/boxdlua: $(SO_OBJ) $(EXE_OBJ) $(BUILD)/lua.sym $(PORTABLE)/cJSON.o
	$(CC) $(LDFLAGS) -static-libgcc -Wl,--gc-sections $(WIPE_GRPC) \
	  -Wl,--dynamic-list=$(BUILD)/lua.sym -o $@ $(SO_OBJ) $(EXE_OBJ) \
	  $(PORTABLE)/cJSON.o $(LUA_LINK) \
	  $(GRPC_LINK) -Wl,-Bstatic -lssl -lcrypto -Wl,-Bdynamic -ldl -lm -pthread
	@! ldd $@ | grep -vE 'linux-vdso|lib(c|m)\.so|ld-linux'

# In bare systems: builds the package there, installs it, runs scripts on the
# embedded service, upgrades and purges it; and carries the portable boxdlua
# there. Needs root and debootstrap.
.PHONY: packages-real
packages-real: portable
	for s in bookworm trixie; do sh scripts/fresh $$s sh scripts/package/try || exit 1; done
	for s in bookworm trixie sid; do sh scripts/fresh -f $(PORTABLE)/boxdlua $$s \
	  sh scripts/package/try_portable || exit 1; done
