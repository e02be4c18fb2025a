import { CliError, exitCodes } from "./CliError.ts"
import { Ending } from "./clients/Ending.ts"
import { bytesText, note, type Io } from "./Io.ts"

/** A line, or all of the input where it is one message: more than any message may have. */
export const inputBytesMax = 256 * 1024 * 1024

const tooLong = (): CliError =>
  new CliError(exitCodes.usage, "E_TOO_LARGE", `one message of stdin has more than ${bytesText(inputBytesMax)}`)

const newline = 0x0a

/** The lines of some input, as bytes without their ends, so many at a time as have come. */
export async function* linesOf(input: AsyncIterable<Uint8Array>): AsyncGenerator<ReadonlyArray<Buffer>> {
  let parts: Array<Buffer> = []
  let bytes = 0
  for await (const part of input) {
    const chunk = Buffer.from(part.buffer, part.byteOffset, part.length)
    const lines: Array<Buffer> = []
    let at = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, at)) {
      lines.push(Buffer.concat([...parts, chunk.subarray(at, end)]))
      parts = []
      bytes = 0
      at = end + 1
    }
    if (at < chunk.length) parts.push(chunk.subarray(at))
    bytes += chunk.length - at
    if (bytes > inputBytesMax) throw tooLong()
    if (lines.length > 0) yield lines
  }
  if (bytes > 0) yield [Buffer.concat(parts)]
}

export const wholeOf = async (input: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const parts: Array<Uint8Array> = []
  let bytes = 0
  for await (const part of input) {
    parts.push(part)
    bytes += part.length
    if (bytes > inputBytesMax) throw tooLong()
  }
  return Buffer.concat(parts)
}

/**
 * The messages on stdin: its lines, or all of it as one. Ends by throwing what `ended` rejects with, whether or not somebody
 * types. Stdin is closed at the end, so that the process can go.
 */
export async function* messagesOf(
  io: Io,
  isWhole: boolean,
  ended: Promise<never>
): AsyncGenerator<ReadonlyArray<Buffer>> {
  const stdin = io.stdin()
  const ending = new Ending(ended)
  if (stdin.isTTY === true) note(io, isWhole ? "the message is read until Ctrl-D" : "a line is a message; Ctrl-D ends")
  try {
    if (isWhole) {
      yield [await ending.before(wholeOf(stdin))]
      return
    }
    const lines = linesOf(stdin)
    for (;;) {
      const { value, done } = await ending.before(lines.next())
      if (done === true) return
      yield value
    }
  } finally {
    stdin.destroy()
  }
}
