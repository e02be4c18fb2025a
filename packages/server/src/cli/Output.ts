import type { Writable } from "node:stream"
import { CliError, exitCodes } from "./CliError.ts"

interface Waiting extends PromiseWithResolvers<void> {
  /** It is over once so many writes were taken. */
  readonly writes: number
}

/** Writes to a stream, and knows how much of it the stream has taken. */
export class Output {
  readonly #stream: Writable
  readonly #onReaderGone: () => void
  /** The earliest first: a stream takes what is written in order. */
  readonly #waiting: Array<Waiting> = []
  #written = 0
  #taken = 0
  #failure: CliError | undefined

  /** `onReaderGone`: nobody reads the pipe that the stream is any more. */
  constructor(stream: Writable, onReaderGone: () => void) {
    this.#stream = stream
    this.#onReaderGone = onReaderGone
    // Each write that fails is told by its own callback.
    stream.on("error", () => undefined)
  }

  write(chunk: string | Uint8Array): void {
    this.#written++
    this.#stream.write(chunk, this.#onTaken)
  }

  /** Resolves once the stream has taken what was written; undefined: it has. Rejects with "E_OUTPUT" where it takes nothing more. */
  flushed(): Promise<void> | undefined {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.#taken === this.#written) return undefined
    const last = this.#waiting.at(-1)
    if (last?.writes === this.#written) return last.promise
    const waiting = { writes: this.#written, ...Promise.withResolvers<void>() }
    this.#waiting.push(waiting)
    return waiting.promise
  }

  readonly #onTaken = (error?: Error | null): void => {
    if (error) this.#fail(error)
    else this.#taken++
    while (this.#waiting.length > 0 && this.#waiting[0]!.writes <= this.#taken) this.#waiting.shift()!.resolve()
  }

  #fail({ message, code }: NodeJS.ErrnoException): void {
    if (code === "EPIPE") this.#onReaderGone()
    this.#failure ??= new CliError(exitCodes.failure, "E_OUTPUT", `stdout takes nothing more: ${message}`)
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure)
  }
}
