// Aedes as its documentation starts it, on the port given as the argument.
import { Aedes } from "aedes"
import { createServer } from "node:net"

const broker = await Aedes.createBroker()
createServer(broker.handle).listen(Number(process.argv[2]), "127.0.0.1")
process.on("SIGTERM", () => process.exit(0))
