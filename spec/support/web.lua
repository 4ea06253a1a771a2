-- Web servers in boxes, for specs about the ways there. A server answers with
-- status 201, two cookies, and as the body a word of its own, the request's
-- for, and the body that it was sent: "WORD METHOD PATH HOST BODY".

local calls = require "spec.support.calls"

local SERVER = [[
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    def answer(self):
        n = int(self.headers.get("Content-Length") or 0)
        body = "%s %s %s %s " % (sys.argv[2], self.command, self.path,
            self.headers["Host"])
        body = body.encode() + self.rfile.read(n)
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-From", sys.argv[2])
        self.send_header("Set-Cookie", "b=2; Path=/")
        self.send_header("Set-Cookie", "a=1; Path=/")
        self.end_headers()
        if self.command != "HEAD": self.wfile.write(body)
    do_GET = do_POST = do_HEAD = answer
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])),
    H).serve_forever()
]]

local web = {}

--- Waits until something listens on the port in the box.
function web.await(box, port)
  calls.eventually(function()
    return box:sh(("grep -q ':%04X 0' /proc/net/tcp"):format(port)).success
  end)
end

--- Starts a server on the port, whose word is `word`; it listens then.
function web.serve(box, port, word)
  box:write_file(SERVER, "/home/boxd/server.py")
  box:sh(("python3 /home/boxd/server.py %d %s >/dev/null 2>&1 &"):format(port,
    word))
  web.await(box, port)
end

return web
