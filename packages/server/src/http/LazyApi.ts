import type { Broker } from "../Broker.ts"
import type { ApiParts } from "./ApiParts.ts"
import type { Asking } from "./Caller.ts"
import type { Past } from "../tools/journalTools.ts"
import type { ApiHandler } from "./apiHandler.ts"

/** After the start, when clients have come back and before an operator asks. */
const warmAfterMs = 1000

/**
 * The API's handlers and schemas, read on first use or soon after the start: they are half of all the code that a
 * start would read (650 ms with them, 330 without), and nothing that a client waits for.
 */
export class LazyApi {
  readonly #make: (module: typeof import("./apiHandler.ts")) => ApiHandler
  readonly #stopWarming: () => void
  #loading: Promise<ApiHandler> | undefined
  #openApi: Promise<string> | undefined

  constructor(broker: Broker, past: Past, parts: ApiParts) {
    this.#make = ({ makeApiHandler }) => makeApiHandler(broker, past, parts)
    this.#stopWarming = broker.clock.after(warmAfterMs, () => void this.#load())
  }

  #load(): Promise<ApiHandler> {
    this.#loading ??= import("./apiHandler.ts").then(this.#make)
    return this.#loading
  }

  async handle(request: Request, caller: Asking): Promise<Response> {
    return (await this.#load()).handler(request, caller)
  }

  /** The methods that a path of the API has; none where there is nothing. */
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
