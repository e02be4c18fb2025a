import type { AnyApi } from "@logbrook/protocols/kafka/Schema"
import type { Handler, ListedApi } from "./Handler.ts"

/** The APIs that a server has: what dispatches requests, what ApiVersions lists, and what the documentation tells. */
export class Registry {
  /** By key, in its order. */
  readonly handlers: ReadonlyMap<number, Handler>
  /** For reading the headers of requests. */
  readonly apis: ReadonlyMap<number, AnyApi>
  readonly listed: ReadonlyArray<ListedApi>

  constructor(handlers: ReadonlyArray<Handler>) {
    const sorted = handlers.toSorted((a, b) => a.api.key - b.api.key)
    this.handlers = new Map(sorted.map((handler) => [handler.api.key, handler]))
    this.apis = new Map(sorted.map(({ api }) => [api.key, api]))
    this.listed = sorted.map(({ api: { key, name }, listedFrom, serves }) => ({
      key,
      name,
      min: listedFrom,
      max: serves[1]
    }))
  }

  /** Undefined: this version is not served. */
  find(apiKey: number, apiVersion: number): Handler | undefined {
    const handler = this.handlers.get(apiKey)
    if (handler === undefined) return undefined
    const [min, max] = handler.serves
    return apiVersion >= min && apiVersion <= max ? handler : undefined
  }
}
