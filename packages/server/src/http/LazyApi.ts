import type { Broker } from "../Broker.ts"
import type { TopTopics } from "../mqtt/TopTopics.ts"
import type { Past } from "../tools/journalTools.ts"
import type { ApiHandler } from "./apiHandler.ts"

/** After the start, when clients have come back and before an operator asks. */
const warmAfterMs = 1000

/**
 * The API's handlers and schemas, read on first use or soon after the start: they are half of all the code that a
 * start would read (650 ms with them, 330 without), and nothing that a client waits for.
 */
export class LazyApi {
  readonly #broker: Broker
  readonly #past: Past
  readonly #unmatched: TopTopics
  readonly #stopWarming: () => void
  #loading: Promise<ApiHandler> | undefined
  #openApi: Promise<string> | undefined

  constructor(broker: Broker, past: Past, unmatched: TopTopics) {
    this.#broker = broker
    this.#past = past
    this.#unmatched = unmatched
    this.#stopWarming = broker.clock.after(warmAfterMs, () => void this.#load())
  }

  #load(): Promise<ApiHandler> {
    this.#loading ??= import("./apiHandler.ts").then(({ makeApiHandler }) =>
      makeApiHandler(this.#broker, this.#past, this.#unmatched)
    )
    return this.#loading
  }

  async handle(request: Request): Promise<Response> {
    return (await this.#load()).handler(request)
  }

  /** What a path of the API can be asked with; nothing where there is nothing. */
  async methodsAt(pathname: string): Promise<ReadonlyArray<string>> {
    return (await import("./apiHandler.ts")).methodsAt(pathname)
  }

  /** The OpenAPI description as JSON. */
  openApi(): Promise<string> {
    this.#openApi ??= import("./apiHandler.ts").then(({ openApi }) => JSON.stringify(openApi))
    return this.#openApi
  }

  async dispose(): Promise<void> {
    this.#stopWarming()
    await (await this.#loading)?.dispose()
  }
}
