import type { IncomingMessage, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import type { Journal } from "@logbrook/core/journal/Journal"
import type { Broker } from "../Broker.ts"
import type { ApiParts } from "./ApiParts.ts"
import type { Asking } from "./Caller.ts"
import type { EventTail } from "./eventTail.ts"
import type { Readiness } from "./health.ts"
import type { LazyApi } from "./LazyApi.ts"
import type { MetricsPage } from "./MetricsPage.ts"
import type { Warnings } from "./Warnings.ts"

export interface HttpOptions extends ApiParts {
  readonly readiness: Readiness
  /** Under the broker's shard. */
  readonly journal: Journal
}

/** The parts that answers are made of. */
export interface Shell {
  readonly broker: Broker
  readonly options: HttpOptions
  readonly api: LazyApi
  readonly tail: EventTail
  readonly metrics: MetricsPage
  readonly warnings: Warnings
  /** The client at the other end of each connection, as logs and the journal tell it. */
  readonly callers: WeakMap<Socket, Asking>
}

/** A request and where its answer goes. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly url: URL
}
