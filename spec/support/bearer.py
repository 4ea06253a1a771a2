"""A gRPC server for specs that fails every call, with the call's authorization
as the message: FAILED_PRECONDITION, which nobody retries. Prints its port."""
from concurrent import futures

import grpc


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        sent = dict(details.invocation_metadata).get("authorization", "none")

        def fail(_, context):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, sent)

        return grpc.unary_unary_rpc_method_handler(fail)


server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Handler()])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
server.wait_for_termination()
