/** placeholder while being written */
export async function demo(_argv: string[]): Promise<number> {
  return 1
}
