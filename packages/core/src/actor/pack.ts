import { createHash } from "node:crypto"
import { Packr } from "msgpackr"
import { hashBytes } from "../journal/Frame.ts"

/**
 * Plain MessagePack, without msgpackr's record extension: any reader of the format can read a journal's events.
 * Byte arrays are copied out: frames come in a buffer that the next read overwrites.
 */
const options = { useRecords: false, moreTypes: false, mapsAsObjects: true, variableMapSize: true }
const packr = new Packr({ ...options, copyBuffers: true })
const viewing = new Packr({ ...options, copyBuffers: false })

export const pack = (value: unknown): Buffer => packr.pack(value)

export const unpack = (bytes: Uint8Array): unknown => packr.unpack(bytes)

/** As `unpack`, but byte arrays are views into `bytes`: for what is used up at once. */
export const unpackViews = (bytes: Uint8Array): unknown => viewing.unpack(bytes)

/** Eight bytes that differ when two packed states differ. */
export const hashOf = (packed: Uint8Array): Buffer =>
  createHash("sha256").update(packed).digest().subarray(0, hashBytes)

/** The same of what is saved of a state. */
export const stateHash = (saved: unknown): Buffer => hashOf(pack(saved))
