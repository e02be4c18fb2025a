import { fileURLToPath } from "node:url"
import { freePort, isListening, start, until } from "./processes.ts"
import type { Server } from "./Server.ts"

/** In its own process, everything in memory. */
export const startAedes = async (cpus: string): Promise<Server> => {
  const mqttPort = await freePort()
  const program = fileURLToPath(new URL("./aedesMain.ts", import.meta.url))
  const { pid, stop, said } = start(cpus, process.execPath, [program, String(mqttPort)])
  await until("aedes is ready", 10_000, () => isListening(mqttPort)).catch((error: Error) => {
    throw new Error(`${error.message}; ${said()}`)
  })
  return { name: "aedes", pid, mqttPort, stop }
}
