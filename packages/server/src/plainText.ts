/** They move a terminal's cursor, or turn the direction of its text. */
const controls = /[\p{Cc}\u2028\u2029\u202A-\u202E\u2066-\u2069]/gu

/** A name or text that a client gave, without controls. */
export const plainText = (text: string): string =>
  text.replaceAll(controls, (control) => {
    const code = control.codePointAt(0)!
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16)}`
  })

/** The same JSON without controls but the line ends between its members: JSON itself escapes those below U+0020 only. */
export const plainJson = (json: string): string =>
  json.replaceAll(controls, (control) =>
    control === "\n" ? control : `\\u${control.codePointAt(0)!.toString(16).padStart(4, "0")}`
  )
