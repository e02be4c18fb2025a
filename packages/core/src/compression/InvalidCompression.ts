/** Kafka's compression codecs but "none", by their names. */
export type Codec = "gzip" | "snappy" | "lz4" | "zstd"

/** Why bytes do not decompress. */
export type CompressionReason = "Corrupt" | "TooLarge"

/** Bytes that are not of their codec, or that would decompress to more than allowed. */
export class InvalidCompression extends Error {
  readonly _tag = "InvalidCompression"
  readonly reason: CompressionReason

  constructor(reason: CompressionReason, message: string) {
    super(message)
    this.name = "InvalidCompression"
    this.reason = reason
  }
}

export const corrupt = (codec: Codec, what: string): InvalidCompression =>
  new InvalidCompression("Corrupt", `${codec}: ${what}`)

export const tooLarge = (codec: Codec, limitBytes: number): InvalidCompression =>
  new InvalidCompression("TooLarge", `${codec}: more than ${limitBytes} bytes decompressed`)
