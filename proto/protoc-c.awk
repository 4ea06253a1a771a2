# Makes of boxd.proto the copy that protoc-c 1.4.1 can take; names, numbers and
# the bytes on the wire stay what they are.
#
# - It refuses proto3 `optional`. A oneof of that one field is what `optional`
#   means to protoc too, down to the oneof's name.
# - Each C struct begins with a member `base`, which MachineSpec has a field
#   for: there the member is called base_message instead.
# - Pack helpers are left out: everything goes through the descriptors, and
#   they would be three quarters of the object.
#
# What it does not find, or finds where it did not expect it, is an error.

function fail(what) {
  print FILENAME ":" NR ": protoc-c.awk: " what > "/dev/stderr"
  failed = 1
  exit 1
}

{ code = $0; sub(/\/\/.*/, "", code) }

code ~ /^package / {
  print
  print "import \"protobuf-c/protobuf-c.proto\";"
  print "option (pb_c_file).gen_pack_helpers = false;"
  packages++
  next
}

code ~ /^message / { message = $2 }

code ~ /^message MachineSpec \{ *$/ {
  print
  print "  option (pb_c_msg).base_field_name = \"base_message\";"
  next
}

code ~ /[^A-Za-z0-9_]base *=/ {
  if (message != "MachineSpec") fail("a field `base` outside MachineSpec")
  bases++
}

code ~ /(^|[^A-Za-z0-9_])optional([^A-Za-z0-9_]|$)/ {
  if (code !~ /^  optional [A-Za-z0-9_.]+ [a-z0-9_]+ = [0-9]+; *$/)
    fail("an `optional` that is not a line of its own")
  print "  oneof _" $3 " { " $2 " " $3 " " $4 " " $5 " }"
  optionals++
  next
}

{ print }

END {
  if (failed) exit 1
  if (packages != 1) fail("want one package line, found " packages + 0)
  if (bases != 1) fail("want one MachineSpec.base, found " bases + 0)
  if (!optionals) fail("found no optional field")
}
