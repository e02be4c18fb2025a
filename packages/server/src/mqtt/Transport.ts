/** A connection's bytes, whatever carries them. */
export interface Transport {
  readonly remoteAddress: string
  /** Written and not yet taken by the peer's side, in bytes. */
  readonly unsentBytes: number
  /** The buffers must not change from now on. */
  readonly write: (buffers: ReadonlyArray<Uint8Array>) => void
  /** Closes after what was written. */
  readonly end: () => void
  readonly destroy: () => void
  readonly pause: () => void
  readonly resume: () => void
}

/** The events that a transport tells its connection. */
export interface TransportEvents {
  /** `chunk` is valid until the call returns. */
  readonly onChunk: (chunk: Uint8Array) => void
  /** All that was written has been taken. */
  readonly onDrain: () => void
  readonly onClosed: () => void
}
