import { once } from "node:events"
import * as http from "node:http"
import type { AddressInfo, Server } from "node:net"
import { Readable, Writable } from "node:stream"
import type { Io } from "../../src/cli/Io.ts"
import { runCli } from "../../src/cli/main.ts"
import { Output } from "../../src/cli/Output.ts"

export interface Ran {
  readonly code: number
  readonly out: ReadonlyArray<string>
  readonly err: ReadonlyArray<string>
}

/** The command line, off a terminal unless `tty` says so. */
export const run = async (
  words: ReadonlyArray<string>,
  tty = false,
  env: Record<string, string> = {},
  stdin: string | Uint8Array = ""
): Promise<Ran> => {
  const out: Array<string> = []
  const err: Array<string> = []
  const code = await runCli(words, {
    ...testIo(tty),
    out: (line) => out.push(line),
    err: (line) => err.push(line),
    write: (bytes) => out.push(Buffer.from(bytes).toString("latin1")),
    stdin: () => Readable.from([Buffer.from(stdin)]),
    env: { NO_COLOR: "1", ...env }
  })
  return { code, out, err }
}

/** It shows nothing, and stdin is empty. */
export const testIo = (tty: boolean): Io => ({
  out: () => undefined,
  err: () => undefined,
  write: () => undefined,
  flushed: () => undefined,
  stdin: () => Readable.from([]),
  isTty: tty,
  isErrTty: tty,
  env: { NO_COLOR: "1" }
})

/** A stdout that takes nothing before `takeAll`, or nothing ever more behind `fail`. */
export class SlowOutput {
  readonly lines: Array<string> = []
  readonly #stream = new Writable({
    decodeStrings: false,
    highWaterMark: 1,
    write: (chunk: string | Uint8Array, _encoding, done) => {
      this.lines.push(String(chunk))
      if (this.#isOpen) done()
      else this.#done = done
    }
  })
  readonly #output = new Output(this.#stream, () => undefined)
  #isOpen = false
  #done: ((error?: Error) => void) | undefined

  get io(): Pick<Io, "out" | "write" | "flushed"> {
    const output = this.#output
    return {
      out: (text) => output.write(text),
      write: (bytes) => output.write(bytes),
      flushed: () => output.flushed()
    }
  }

  takeAll(): void {
    this.#isOpen = true
    this.#done?.()
  }

  fail(): void {
    this.#done?.(Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" }))
  }
}

export const listening = async (server: Server): Promise<string> => {
  await once(server.listen(0, "127.0.0.1"), "listening")
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A server that answers every request with this document; `asked` has what was asked for. */
export const answering = async (body: unknown, headers: Record<string, string> = {}): Promise<Answering> => {
  const asked: Array<string> = []
  const bodies: Array<unknown> = []
  const server = http.createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    let text = ""
    request.on("data", (part: Buffer) => (text += part))
    request.on("end", () => {
      if (text !== "") bodies.push(JSON.parse(text))
      response.writeHead(200, { "content-type": "application/json", ...headers }).end(JSON.stringify(body))
    })
  })
  const address = await listening(server)
  return { url: `http://${address}`, asked, bodies, close: () => void server.close() }
}

export interface Answering {
  readonly url: string
  readonly asked: Array<string>
  /** Of the requests that had one. */
  readonly bodies: Array<unknown>
  readonly close: () => void
}
