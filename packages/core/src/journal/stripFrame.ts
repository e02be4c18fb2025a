import { crc32c } from "@node-rs/crc32"
import { ZstdEncoder } from "../ZstdEncoder.ts"
import { readRef, writeRef } from "./batchRef.ts"
import { ByteReader, ByteWriter, TornBytes } from "./Bytes.ts"
import { entryType, formatOf, frameFormat, hashBytes, headerBytes, openBody, readFrameHead } from "./Frame.ts"
import { JournalError } from "./JournalError.ts"

const encoder = new ZstdEncoder(1)
/** Below this there is nothing to gain. */
const compressedBytesMin = 256

const skipEntryHead = (reader: ByteReader): number => {
  const type = reader.u8()
  reader.varint()
  reader.varint()
  return type
}

const skipEntry = (reader: ByteReader, type: number): void => {
  reader.skip(reader.varint())
  if (type === entryType.hash) reader.skip(hashBytes)
  else if (type === entryType.event) {
    reader.varint()
    reader.skip(reader.varint())
  } else if (type === entryType.versionedHash) {
    reader.varint()
    reader.skip(hashBytes)
  } else throw new TornBytes(`entry type ${type} is not known`)
}

/** Every entry as it is, references without what only locates their bytes. */
const stripEntries = (frame: Buffer, reader: ByteReader, entries: number, out: ByteWriter): void => {
  for (let i = 0; i < entries; i++) {
    const from = reader.at
    const type = skipEntryHead(reader)
    if (type === entryType.records) {
      out.bytes(frame.subarray(from, reader.at))
      writeRef(out, { ...readRef(reader), crc: 0, chunk: 0, position: 0 })
    } else {
      skipEntry(reader, type)
      out.bytes(frame.subarray(from, reader.at))
    }
  }
}

/**
 * The frame of a settled segment: every event with its seq, cause, time and hash, and no record bytes. `scratch` is
 * overwritten. Throws `JournalError` "Corrupt" for a frame that is not whole.
 */
export const stripFrame = (frame: Buffer, scratch: ByteWriter): Buffer => {
  const head = readFrameHead(frame)
  if (formatOf(frame) !== frameFormat.whole) return Buffer.from(frame)
  scratch.reset()
  try {
    const reader = openBody(frame, head)
    const origins = frame.readUInt32LE(36)
    for (let i = 0; i < origins; i++) reader.skip(reader.varint())
    scratch.bytes(frame.subarray(headerBytes, reader.at))
    stripEntries(frame, reader, head.entries, scratch)
  } catch (error) {
    if (error instanceof TornBytes) throw new JournalError("Corrupt", `frame at seq ${head.firstSeq}: ${error.message}`)
    throw error
  }
  return assemble(frame, scratch.view())
}

const assemble = (frame: Buffer, body: Buffer): Buffer => {
  const packed = body.length < compressedBytesMin ? body : encoder.encode(body)
  const isSmaller = packed.length < body.length
  const bytes = isSmaller ? packed : body
  const stripped = Buffer.allocUnsafeSlow(headerBytes + bytes.length)
  frame.copy(stripped, 0, 0, headerBytes)
  stripped[4] = isSmaller ? frameFormat.strippedZstd : frameFormat.stripped
  stripped.writeUInt16LE(0, 6)
  stripped.writeUInt32LE(body.length, 32)
  stripped.set(bytes, headerBytes)
  stripped.writeUInt32LE(crc32c(stripped.subarray(4)), 0)
  return stripped
}
