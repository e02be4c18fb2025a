import type { Loan } from "@logbrook/core/BufferPool"

/** The parts of a response besides its body. */
export interface ReplyOptions {
  /** The buffers of its record batches, given back once they are sent. */
  readonly loan?: Loan
  /** Nothing is sent: the client wants no answer (acks=0). */
  readonly isSilent?: boolean
  /** Closes the connection behind the response, without an audit line. */
  readonly hangsUp?: boolean
  /** How the request breaks the protocol: one audit line, and the connection closes behind the response. */
  readonly violation?: string | undefined
}

/** A response with more to it than its body. */
export class Reply<Response> {
  readonly response: Response
  readonly options: ReplyOptions

  constructor(response: Response, options: ReplyOptions) {
    this.response = response
    this.options = options
  }
}

const plain: ReplyOptions = {}

/** Everything a handler gives back, as one shape. */
export const replyOf = <Response>(given: Response | Reply<Response>): Reply<Response> =>
  given instanceof Reply ? given : new Reply(given, plain)
