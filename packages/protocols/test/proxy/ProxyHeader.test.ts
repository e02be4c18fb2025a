import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { decodeProxyHeader, ProxyError, proxyHeaderBytesMax } from "../../src/proxy/ProxyHeader.ts"

const text = (line: string): Buffer => Buffer.from(line, "latin1")

const signature = Buffer.from("0d0a0d0a000d0a515549540a", "hex")

const binary = (versionAndCommand: number, familyAndProtocol: number, rest: Uint8Array): Buffer =>
  Buffer.concat([signature, Buffer.from([versionAndCommand, familyAndProtocol, rest.length >>> 8, rest.length]), rest])

const ipv4 = (source: ReadonlyArray<number>, port: number): Buffer =>
  Buffer.from([...source, 10, 0, 0, 1, port >>> 8, port, 0x07, 0x5b])

const ipv6 = (source: string, port: number): Buffer =>
  Buffer.from(`${source}${"0".repeat(32)}${port.toString(16).padStart(4, "0")}075b`, "hex")

const sourceOf = (bytes: Uint8Array) => decodeProxyHeader(bytes)!.source

const error = (bytes: Uint8Array) => {
  try {
    return decodeProxyHeader(bytes)
  } catch (thrown) {
    return thrown
  }
}

describe("a PROXY line", () => {
  it.each([
    ["PROXY TCP4 192.168.0.1 192.168.0.11 56324 443", { address: "192.168.0.1", port: 56_324 }],
    ["PROXY TCP4 255.255.255.255 255.255.255.255 65535 0", { address: "255.255.255.255", port: 65_535 }],
    ["PROXY TCP6 2001:db8::1 ::1 1 2", { address: "2001:db8::1", port: 1 }],
    ["PROXY UNKNOWN", undefined],
    ["PROXY UNKNOWN ffff::1 whatever 65535 65535", undefined]
  ])("%s", (line, source) => {
    expect(decodeProxyHeader(text(`${line}\r\nbehind it`))).toEqual({ byteLength: line.length + 2, source })
  })

  it("may have 107 bytes and no more", () => {
    const long = (bytes: number) => text(`PROXY UNKNOWN ${"x".repeat(bytes - 16)}\r\n`)
    expect(decodeProxyHeader(long(107))?.byteLength).toBe(107)
    expect(error(long(108))).toBeInstanceOf(ProxyError)
    expect(error(text(`PROXY ${"x".repeat(101)}`))).toBeInstanceOf(ProxyError)
    expect(error(text(`PROXY ${"x".repeat(100)}`))).toBeUndefined()
  })

  it.each([
    "PROXY TCP4 192.168.0.1 192.168.0.11 56324\r\n",
    "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443 1\r\n",
    "PROXY TCP4 192.168.0.1 192.168.0.11 56324 65536\r\n",
    "PROXY TCP4 192.168.0.1 192.168.0.11 056 443\r\n",
    "PROXY TCP4 192.168.0.1 192.168.0.11 -1 443\r\n",
    "PROXY TCP4 192.168.0.256 192.168.0.11 1 443\r\n",
    "PROXY TCP4 192.168.00.1 192.168.0.11 1 443\r\n",
    "PROXY TCP4  192.168.0.1 192.168.0.11 1 443\r\n",
    "PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
    "PROXY TCP6 192.168.0.1 192.168.0.11 1 443\r\n",
    "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    "PROXY UDP4 192.168.0.1 192.168.0.11 1 443\r\n",
    "PROXY tcp4 192.168.0.1 192.168.0.11 1 443\r\n",
    "PROXY UNKNOWN\rx",
    "PROXX UNKNOWN\r\n",
    "proxy UNKNOWN\r\n",
    "\u0010\u000e",
    "GET / HTTP/1.1\r\n"
  ])("%j is none", (line) => expect(error(text(line))).toBeInstanceOf(ProxyError))
})

describe("a binary PROXY header", () => {
  it("tells the source of IPv4 and of IPv6, as a socket would", () => {
    expect(sourceOf(binary(0x21, 0x11, ipv4([1, 2, 3, 4], 5678)))).toEqual({ address: "1.2.3.4", port: 5678 })
    const addresses = [
      ["20010db8000000000000000000000001", "2001:db8::1"],
      ["00000000000000000000000000000000", "::"],
      ["00000000000000000000000000000001", "::1"],
      ["20010db8000000000001000000000000", "2001:db8:0:0:1::"],
      ["20010000000000010000000000000001", "2001:0:0:1::1"],
      ["00010002000300040005000600070008", "1:2:3:4:5:6:7:8"],
      ["00010000000300040005000600070008", "1:0:3:4:5:6:7:8"],
      ["00000000000000000000ffff01020304", "::ffff:1.2.3.4"]
    ] as const
    for (const [bytes, address] of addresses) {
      expect(sourceOf(binary(0x21, 0x21, ipv6(bytes, 9)))).toEqual({ address, port: 9 })
    }
  })

  it("tells none of the load balancer's own connections, of Unix sockets and of what is unspecified", () => {
    for (const [head, kind] of [
      [0x20, 0x11],
      [0x20, 0x00],
      [0x21, 0x00],
      [0x21, 0x31]
    ] as const) {
      const bytes = binary(head, kind, Buffer.alloc(216))
      expect(decodeProxyHeader(bytes)).toEqual({ byteLength: 232, source: undefined })
    }
    expect(decodeProxyHeader(binary(0x20, 0, Buffer.alloc(0)))).toEqual({ byteLength: 16, source: undefined })
  })

  it("may have other facts behind its addresses, which are passed over", () => {
    const facts = Buffer.concat([ipv4([1, 2, 3, 4], 5), Buffer.alloc(100, 0xee)])
    expect(decodeProxyHeader(Buffer.concat([binary(0x21, 0x11, facts), Buffer.from("x")]))).toEqual({
      byteLength: 16 + 112,
      source: { address: "1.2.3.4", port: 5 }
    })
  })

  it("of another version or command, too short for its addresses, or too long, is none", () => {
    const addresses = ipv4([1, 2, 3, 4], 5)
    for (const bytes of [
      binary(0x11, 0x11, addresses),
      binary(0x31, 0x11, addresses),
      binary(0x22, 0x11, addresses),
      binary(0x21, 0x11, addresses.subarray(1)),
      binary(0x21, 0x21, ipv6("0".repeat(32), 1).subarray(1)),
      binary(0x21, 0x11, Buffer.alloc(proxyHeaderBytesMax - 15))
    ]) {
      expect(error(bytes)).toBeInstanceOf(ProxyError)
    }
    const longest = binary(0x21, 0x11, Buffer.alloc(proxyHeaderBytesMax - 16))
    expect(decodeProxyHeader(longest)?.byteLength).toBe(proxyHeaderBytesMax)
  })
})

describe("any bytes", () => {
  const port = fc.integer({ min: 0, max: 65_535 })
  const header = fc.oneof(
    fc
      .tuple(fc.ipV4(), fc.ipV4(), port, port)
      .map(([from, to, a, b]) => text(`PROXY TCP4 ${from} ${to} ${a} ${b}\r\n`)),
    fc
      .tuple(fc.ipV6(), fc.ipV6(), port, port)
      .map(([from, to, a, b]) => text(`PROXY TCP6 ${from} ${to} ${a} ${b}\r\n`))
      .filter((bytes) => bytes.length <= 107),
    fc.tuple(fc.uint8Array({ minLength: 12, maxLength: 60 })).map(([rest]) => binary(0x21, 0x11, rest)),
    fc.tuple(fc.uint8Array({ minLength: 36, maxLength: 60 })).map(([rest]) => binary(0x21, 0x21, rest))
  )

  it("that begin with a header give it once it is whole, and not before, whatever follows", () => {
    fc.assert(
      fc.property(header, fc.uint8Array({ maxLength: 20 }), (bytes, rest) => {
        for (let length = 0; length < bytes.length; length++) {
          expect(decodeProxyHeader(bytes.subarray(0, length))).toBeUndefined()
        }
        const whole = decodeProxyHeader(bytes)
        expect(whole?.byteLength).toBe(bytes.length)
        expect(decodeProxyHeader(Buffer.concat([bytes, rest]))).toEqual(whole)
      })
    )
  })

  it("are a header, the beginning of one, or a ProxyError", () => {
    const mutated = fc.tuple(header, fc.nat(), fc.integer({ min: 0, max: 255 })).map(([bytes, at, byte]) => {
      const copy = Buffer.from(bytes)
      copy[at % copy.length] = byte
      return copy
    })
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 300 })), (bytes) => {
        const found = error(bytes)
        if (found instanceof ProxyError) return
        if (found === undefined) expect(bytes.length).toBeLessThan(proxyHeaderBytesMax)
        else expect((found as { byteLength: number }).byteLength).toBeLessThanOrEqual(bytes.length)
      })
    )
  })
})
