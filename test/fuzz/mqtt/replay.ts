import { Batch, batchSize, Finding } from "./Batch.ts"
import { conversationOf, packetEnd } from "./Conversation.ts"
import { Turns } from "./Turns.ts"

/** Packet by packet, in hexadecimal and as text, with an empty line where the client waits. */
const said = (bursts: ReadonlyArray<Buffer>): string => {
  const lines: Array<string> = []
  for (const burst of bursts) {
    if (lines.length > 0) lines.push("")
    for (let at = 0; at < burst.length;) {
      const end = packetEnd(burst, at)
      const packet = burst.subarray(at, end)
      lines.push(`  ${packet.toString("hex")}  ${packet.toString("latin1").replaceAll(/[^ -~]/g, ".")}`)
      at = end
    }
  }
  return lines.join("\n")
}

/** One conversation, behind those of its batch that come before it; prints what it says. True: it comes out as it has to. */
export const replay = (number: number): boolean => {
  const { version, bursts, end, pauseMs } = conversationOf(number)
  console.log(`conversation ${number}, MQTT ${version === 3 ? "3.1" : version === 4 ? "3.1.1" : "5.0"}`)
  console.log(said(bursts))
  console.log(`  ${end}; then ${pauseMs} ms pass\n`)
  const turns = new Turns()
  try {
    const batch = new Batch(turns)
    for (let each = Math.floor(number / batchSize) * batchSize; each <= number; each++) batch.converse(each)
    console.log("it comes out as it has to")
    return true
  } catch (error) {
    if (!(error instanceof Finding)) throw error
    console.log(`at ${error.number}: ${error.message}`)
    return false
  } finally {
    turns.restore()
  }
}
