const isAt = (piece: Uint8Array, buffer: ArrayBufferLike, offset: number): boolean =>
  piece.buffer === buffer && piece.byteOffset === offset

/** The same bytes in fewer pieces: those that lie one behind the other in a buffer are one, so that they are written as one. */
export const joinNeighbours = (pieces: ReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> => {
  const joined: Array<Uint8Array> = []
  for (let at = 0; at < pieces.length;) {
    const first = pieces[at++]!
    let bytes = first.length
    while (at < pieces.length && isAt(pieces[at]!, first.buffer, first.byteOffset + bytes))
      bytes += pieces[at++]!.length
    joined.push(bytes === first.length ? first : new Uint8Array(first.buffer, first.byteOffset, bytes))
  }
  return joined
}
