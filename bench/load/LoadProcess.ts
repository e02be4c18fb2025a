import { fileURLToPath } from "node:url"
import { start, type Started } from "../servers/processes.ts"
import type { Calls } from "./calls.ts"

type Answer = { readonly result?: unknown; readonly error?: string }

/** All clients of a benchmark: one process on cores of its own. */
export class LoadProcess {
  readonly #started: Started

  constructor(cpus: string) {
    const program = fileURLToPath(new URL("./loadMain.ts", import.meta.url))
    this.#started = start(cpus, process.execPath, [program], { stdio: ["ignore", "inherit", "inherit", "ipc"] })
  }

  get pid(): number {
    return this.#started.pid
  }

  /** One call at a time. Rejects with what the load process says, or when it ends. */
  async call<N extends keyof Calls>(name: N, options: Parameters<Calls[N]>[0]): Promise<Awaited<ReturnType<Calls[N]>>> {
    const { child } = this.#started
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const ended = () => reject(new Error("the load process has ended"))
    child.once("message", resolve)
    child.once("exit", ended)
    child.send({ name, options })
    const { result, error } = await promise.finally(() => child.off("exit", ended))
    if (error !== undefined) throw new Error(`${name}: ${error}`)
    return result as Awaited<ReturnType<Calls[N]>>
  }

  stop(): Promise<void> {
    return this.#started.stop()
  }
}
