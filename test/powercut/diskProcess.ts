/** Serves a disk with a volatile cache as a file: `IMAGE MOUNTPOINT SEED`; its parent sends `DiskRequest`s. */
import * as fs from "node:fs"
import { randomOf } from "../support/random.ts"
import { DiskError, serveFile } from "./fuseFile.ts"
import { VolatileDisk, type Fate } from "./VolatileDisk.ts"

export type DiskRequest =
  /** The power goes at the given write or flush from now on, and before it is done; from then on all fail. */
  | { readonly _tag: "CutAfter"; readonly operations: number }
  | { readonly _tag: "CutNow" }
  /** What is left is decided, and the disk works again. */
  | { readonly _tag: "PowerOn"; readonly fate: Fate }
  | { readonly _tag: "Dump"; readonly file: string }

export type DiskReport =
  | { readonly _tag: "Serving" }
  /** `unflushed`: writes that no flush had covered. */
  | { readonly _tag: "Cut"; readonly unflushed: number }
  | { readonly _tag: "PoweredOn"; readonly lost: number }
  | { readonly _tag: "Dumped" }

const [imageFile, mountPoint, seed] = process.argv.slice(2) as [string, string, string]
const random = randomOf(Number(seed))
const chunkBytes = 1024 * 1024
const zeros = Buffer.alloc(chunkBytes)
const isEmpty = (chunk: Buffer): boolean => chunk.equals(zeros.subarray(0, chunk.length))

/** Memory is taken for what is written only: an image is mostly zeros. */
const readSparse = (file: string): Buffer => {
  const image = Buffer.alloc(fs.statSync(file).size)
  const chunk = Buffer.alloc(chunkBytes)
  const descriptor = fs.openSync(file, "r")
  for (let at = 0; at < image.length; at += chunkBytes) {
    const length = fs.readSync(descriptor, chunk, 0, chunkBytes, at)
    if (!isEmpty(chunk.subarray(0, length))) chunk.copy(image, at, 0, length)
  }
  fs.closeSync(descriptor)
  return image
}

const writeSparse = (file: string, image: Buffer): void => {
  const descriptor = fs.openSync(file, "w")
  fs.ftruncateSync(descriptor, image.length)
  for (let at = 0; at < image.length; at += chunkBytes) {
    const chunk = image.subarray(at, at + chunkBytes)
    if (!isEmpty(chunk)) fs.writeSync(descriptor, chunk, 0, chunk.length, at)
  }
  fs.closeSync(descriptor)
}

const disk = new VolatileDisk(readSparse(imageFile))
let operationsLeft = Infinity
let isOff = false

const report = (message: DiskReport): void => void process.send!(message)

const cut = (): void => {
  if (isOff) return
  isOff = true
  report({ _tag: "Cut", unflushed: disk.unflushed })
}

const operation = (): void => {
  if (!isOff && --operationsLeft <= 0) cut()
  if (isOff) throw new DiskError()
}

await serveFile(mountPoint, {
  sizeBytes: disk.image.length,
  read: (offset, length) => {
    if (isOff) throw new DiskError()
    return disk.read(offset, length)
  },
  write: (offset, bytes) => {
    operation()
    disk.write(offset, bytes)
  },
  flush: () => {
    operation()
    disk.flush()
  }
})
report({ _tag: "Serving" })

process.on("message", (request: DiskRequest) => {
  if (request._tag === "CutAfter") operationsLeft = request.operations
  else if (request._tag === "CutNow") cut()
  else if (request._tag === "PowerOn") {
    const lost = disk.losePower(request.fate, random)
    operationsLeft = Infinity
    isOff = false
    report({ _tag: "PoweredOn", lost })
  } else {
    writeSparse(request.file, disk.image)
    report({ _tag: "Dumped" })
  }
})
