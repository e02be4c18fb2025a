import type { Loan } from "@logbrook/core/BufferPool"
import { encodeResponseFrame } from "@logbrook/protocols/kafka/Header"
import type { AnyApi, Api } from "@logbrook/protocols/kafka/Schema"
import { Reader } from "@logbrook/protocols/kafka/Wire"
import type { Asker } from "./Asker.ts"
import type { KafkaNode } from "./KafkaNode.ts"
import type { RefusedBatches } from "./RefusedBatches.ts"

export interface HostPort {
  readonly host: string
  readonly port: number
}

/** One request as its handler sees it, besides its body. */
export interface RequestContext extends Asker {
  readonly node: KafkaNode
  /** Empty for a client that does not tell. */
  readonly clientId: string
  /** The client's address. */
  readonly clientHost: string
  /** Where this client can reach the server again. */
  readonly advertised: HostPort
  /** Whether the client is known to decompress zstd. */
  readonly readsZstd: boolean
  /** The client has told what software it is (KIP-511). */
  readonly identified: (softwareName: string) => void
  /** Counts this connection's fetches, so that each begins with another partition. */
  readonly nextFetch: () => number
  /** Of this connection. */
  readonly refusedBatches: RefusedBatches
  /** Bytes that a response may have by what all connections have not read yet. */
  readonly responseRoomBytes: () => number
  /**
   * Bytes of the request's frame that outlive the handler's call: everything else of the frame is written over then.
   * `isOnly`: nothing else of this request is kept.
   */
  readonly keep: (bytes: Uint8Array, isOnly: boolean) => Uint8Array
  /** What to do if the connection ends before the response; replaces what was given before. */
  readonly onCancel: (cancel: (() => void) | undefined) => void
  /** The request breaks the protocol: one audit line, and the connection closes behind the response. */
  readonly violation: (reason: string) => void
  /** Runs what may throw outside of a handler's own call: a defect closes this connection and nothing else. */
  readonly guarded: (task: () => void) => void
  /** Closes behind the response, without an audit line. */
  readonly hangUp: () => void
}

/**
 * To be called once. `errorCode`: the first one in the response, for the metrics. Null: no response at all. `loan`: what
 * its record batches lie in, given back once they are sent.
 */
export type Respond<Response> = (response: Response | null, errorCode?: number, loan?: Loan) => void

/** What a connection is given to send; undefined: nothing. */
export type Send = (chunks: ReadonlyArray<Uint8Array> | undefined, errorCode: number, loan?: Loan) => void

/** One API of the server. */
export interface Handler {
  readonly api: AnyApi
  /** What is answered. */
  readonly serves: readonly [min: number, max: number]
  /** What ApiVersions lists from; lower than what is served only where clients need it so. */
  readonly listedFrom: number
  /**
   * Decodes the body from `bodyOffset` and answers, now or later. Throws `WireError`. Bytes behind the body are counted
   * and ignored, as Kafka ignores them: librdkafka from 2.1 on writes a null array of Metadata three bytes too long.
   */
  readonly run: (
    context: RequestContext,
    request: { readonly frame: Uint8Array; readonly bodyOffset: number; readonly apiVersion: number },
    correlationId: number,
    send: Send
  ) => void
}

export const handler = <Req, ReqIn, Res, ResIn>(
  api: Api<Req, ReqIn, Res, ResIn>,
  serves: readonly [min: number, max: number],
  handle: (context: RequestContext, request: Req, version: number, respond: Respond<ResIn>) => void,
  listedFrom: number = serves[0]
): Handler => ({
  api,
  serves,
  listedFrom,
  run: (context, { frame, bodyOffset, apiVersion }, correlationId, send) => {
    const body = new Reader(frame, bodyOffset)
    const request = api.readRequest(body, apiVersion)
    if (body.remaining > 0) context.node.metrics.ignored(api.name, body.remaining)
    handle(context, request, apiVersion, (response, errorCode = 0, loan) =>
      context.guarded(() => {
        if (response === null) return send(undefined, errorCode)
        return send(encodeResponseFrame(api as AnyApi, apiVersion, correlationId, response as never), errorCode, loan)
      })
    )
  }
})
