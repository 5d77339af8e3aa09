/** Something about the embedded database or its folder that a person has to put right. The message is one or two lines for people. */
export class EmbeddedError extends Error {
  override name = 'EmbeddedError'
}

const reasons: Record<string, string> = {
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EROFS: 'the file system is read-only',
  ENOENT: 'the folder above it cannot hold one',
  ENOTDIR: 'part of the path is a file',
  EEXIST: 'there is a file with this name',
  ENOSPC: 'no space left on the disk',
  EDQUOT: 'the disk quota is used up',
}

/** Turns a failed file operation on the data folder into words; anything unknown is handed back unchanged. */
export function explainFolderError(folder: string, error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  const reason = reasons[code]
  if (reason === undefined) return error
  return new EmbeddedError(
    `The data folder ${folder} cannot be written: ${reason}.\n` +
      'Give this user write permission there, name another folder with EDGE_IPAM_DATA_DIR, or use a database of your own with DATABASE_URL.',
    { cause: error },
  )
}

export function errorCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code
}
