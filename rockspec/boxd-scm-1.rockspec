rockspec_format = "3.0"
package = "boxd"
version = "scm-1"

-- `luarocks make` builds the tree this file is in and fetches nothing.
source = { url = "file://boxd-scm-1.tar.gz", dir = "boxd-scm-1" }

description = {
  summary = "Client of the boxd cloud-VM service, with local boxes to try it",
  detailed = [[
Creates and drives cloud machines over gRPC: commands with streamed output,
files, disks, templates, proxies, concurrently in tasks. boxdlua, a standalone
interpreter, has the module inside, and an embedded service whose boxes are
sandboxes on this machine.]],
  license = "MIT",
  labels = { "cloud", "grpc", "sandbox" },
}

supported_platforms = { "linux" }
dependencies = { "lua >= 5.4, < 5.6" }

external_dependencies = {
  GRPC = { header = "grpc/grpc.h", library = "grpc" },
  PROTOBUF_C = {
    header = "protobuf-c/protobuf-c.h",
    library = "protobuf-c",
  },
  CJSON = { header = "cjson/cJSON.h", library = "cjson" },
  OPENSSL = { header = "openssl/evp.h", library = "crypto" },
  EDIT = { header = "histedit.h" },
  CURL = { library = "curl" }, -- its headers are where only the compiler looks
  PROTOC = { program = "protoc" },
  PROTOC_C = { program = "protoc-c" },
}

build = {
  type = "make",
  build_target = "all",
  install_target = "install-lua",
  variables = {
    CFLAGS = "$(CFLAGS)",
    LUA = "$(LUA)",
    LUA_CFLAGS = "-I$(LUA_INCDIR)",
  },
  install_variables = {
    BINDIR = "$(BINDIR)",
    LIBDIR = "$(LIBDIR)",
    LUADIR = "$(LUADIR)",
    MANDIR = "$(PREFIX)/doc/man",
  },
}
