import * as fs from "node:fs"
import { spawn } from "node:child_process"
import { once } from "node:events"

/** What the one file of the file system does. Throws `DiskError` to answer with an error. */
export interface FileOperations {
  readonly sizeBytes: number
  readonly read: (offset: number, length: number) => Buffer
  readonly write: (offset: number, bytes: Buffer) => void
  readonly flush: () => void
}

/** Answered as EIO. */
export class DiskError extends Error {}

/** linux/fuse.h, protocol 7.31. */
const opcodes = {
  forget: 2,
  getattr: 3,
  setattr: 4,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  flush: 25,
  init: 26,
  interrupt: 36,
  batchForget: 42
} as const

const eio = 5
const enosys = 38
const inHeadBytes = 40
const outHeadBytes = 16
const writeHeadBytes = 40
const writeBytesMax = 1024 * 1024
const pageBytes = 4096
const regularFile = 0o100_600
const asyncRead = 1 << 0
const bigWrites = 1 << 5
const maxPages = 1 << 22

const initReply = (): Buffer => {
  const reply = Buffer.alloc(64)
  reply.writeUInt32LE(7, 0)
  reply.writeUInt32LE(31, 4)
  reply.writeUInt32LE(writeBytesMax, 8)
  reply.writeUInt32LE(asyncRead | bigWrites | maxPages, 12)
  reply.writeUInt16LE(64, 16)
  reply.writeUInt16LE(48, 18)
  reply.writeUInt32LE(writeBytesMax, 20)
  reply.writeUInt32LE(1, 24)
  reply.writeUInt16LE(writeBytesMax / pageBytes, 28)
  return reply
}

const attrReply = (sizeBytes: number): Buffer => {
  const reply = Buffer.alloc(104)
  reply.writeBigUInt64LE(3600n, 0)
  reply.writeBigUInt64LE(1n, 16)
  reply.writeBigUInt64LE(BigInt(sizeBytes), 24)
  reply.writeBigUInt64LE(BigInt(sizeBytes / 512), 32)
  reply.writeUInt32LE(regularFile, 76)
  reply.writeUInt32LE(1, 80)
  reply.writeUInt32LE(pageBytes, 96)
  return reply
}

const writeReply = (written: number): Buffer => {
  const reply = Buffer.alloc(8)
  reply.writeUInt32LE(written, 0)
  return reply
}

/** Undefined: the request has no answer. A number is an error's. */
const answer = (file: FileOperations, opcode: number, request: Buffer): Buffer | number | undefined => {
  const offset = (): number => Number(request.readBigUInt64LE(inHeadBytes + 8))
  const size = (): number => request.readUInt32LE(inHeadBytes + 16)
  switch (opcode) {
    case opcodes.init:
      return initReply()
    case opcodes.getattr:
    case opcodes.setattr:
      return attrReply(file.sizeBytes)
    case opcodes.open:
      return Buffer.alloc(16)
    case opcodes.read:
      return file.read(offset(), size())
    case opcodes.write: {
      const at = inHeadBytes + writeHeadBytes
      file.write(offset(), request.subarray(at, at + size()))
      return writeReply(size())
    }
    case opcodes.fsync:
      file.flush()
      return Buffer.alloc(0)
    case opcodes.flush:
    case opcodes.release:
      return Buffer.alloc(0)
    case opcodes.statfs:
      return Buffer.alloc(80)
    case opcodes.forget:
    case opcodes.batchForget:
    case opcodes.interrupt:
      return undefined
    default:
      return enosys
  }
}

const respond = (device: number, file: FileOperations, request: Buffer): void => {
  const unique = request.readBigUInt64LE(8)
  let body: Buffer | number | undefined
  try {
    body = answer(file, request.readUInt32LE(4), request)
  } catch (error) {
    if (!(error instanceof DiskError)) throw error
    body = eio
  }
  if (body === undefined) return
  const head = Buffer.alloc(outHeadBytes)
  const bytes = typeof body === "number" ? Buffer.alloc(0) : body
  head.writeUInt32LE(outHeadBytes + bytes.length, 0)
  head.writeInt32LE(typeof body === "number" ? -body : 0, 4)
  head.writeBigUInt64LE(unique, 8)
  fs.writevSync(device, [head, bytes])
}

/**
 * Mounts a FUSE file system that is one file over `mountPoint`, which is a file, and serves it until it is unmounted.
 * Needs root. Whoever serves it must not use the file: it would wait for itself.
 */
export const serveFile = async (mountPoint: string, file: FileOperations): Promise<void> => {
  const device = fs.openSync("/dev/fuse", "r+")
  const options = "fd=3,rootmode=100000,user_id=0,group_id=0,allow_other"
  const mounting = spawn("mount", ["-i", "-t", "fuse", "-o", options, "logbrook-disk", mountPoint], {
    stdio: ["ignore", "inherit", "inherit", device]
  })
  const buffer = Buffer.alloc(writeBytesMax + 64 * 1024)
  const next = (): void => {
    fs.read(device, buffer, 0, buffer.length, null, (error, length) => {
      if (error?.code === "ENODEV") return
      if (error !== null && error.code !== "EINTR" && error.code !== "EAGAIN" && error.code !== "ENOENT") throw error
      if (error === null) respond(device, file, buffer.subarray(0, length))
      next()
    })
  }
  const [code] = (await once(mounting, "exit")) as [number | null]
  if (code !== 0) throw new Error(`mount -t fuse exited with ${code}`)
  next()
}
