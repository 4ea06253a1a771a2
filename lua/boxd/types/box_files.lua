---@meta
-- Files of a box, and what lies under a path.

---@class (partial) boxd.Box
local Box = {}

--- What lies under a path; a link is not followed. Where the box's user may not
--- look, root does, by sudo.
--- Round trips: 1.
--- RPC: Exec.
--- Raises: BoxdError when it can't be looked at; NotFoundError of the box.
---@param path string in the box
---@param options? boxd.Options
---@return boxd.Stat? stat nil: nothing is there
function Box:stat(path, options) end

--- Is anything there, if only a link that leads nowhere?
--- Round trips: 1.
--- RPC: Exec.
--- Raises: as stat.
---@param path string in the box
---@param options? boxd.Options
---@return boolean
function Box:exists(path, options) end

---@class boxd.Stat
---@field type string "file", "directory", "link", "fifo", "socket", "char", "block"
---@field size integer bytes
---@field mode integer permission bits, with setuid, setgid and sticky
---@field mtime integer Unix seconds
---@field owner string a name, or UNKNOWN
---@field group string a name, or UNKNOWN
---@field target? string of a link: where it leads

--- Writes a whole file, above 1 MiB as a stream. A local file's permission bits go along.
--- Round trips: 1; with mode 2, of a file that others may not read 3, with owner 4.
--- RPC: UploadFile, UploadFileStream for more than one chunk, unless the service lacks it, which
--- the Compute remembers; Exec for a mode that new files don't have, and for verify.
--- Raises: NotFoundError, InvalidArgumentError when the local file is not read,
--- InternalError when the service wrote a part only, BoxdError when its mode
--- can't be set.
---@param source string|boxd.Path bytes, or boxd.path "local/file"
---@param dest string path in the box
---@param options? boxd.WriteOptions
function Box:write_file(source, dest, options) end

--- Reads a whole file, into memory.
--- RPC: DownloadFileStream, or DownloadFile of a service without it; Exec for
--- verify.
--- Raises: NotFoundError, InternalError when not all of it came.
---@param path string in the box
---@param options? boxd.ReadOptions
---@return string bytes
function Box:read_file(path, options) end

--- Sends a file of any size, in constant memory, or a folder with all in it:
--- files, folders (Mkdir) and symbolic links. Permission bits go along, and a
--- private file is readable to others at no time. A folder with a pipe or a
--- device in it is refused before anything is sent.
--- RPC: UploadFileStream; Exec for modes that new files don't have, and for
--- links; Mkdir.
--- Raises: InvalidArgumentError when the local file is not read whole,
--- NotFoundError, InternalError when the service wrote a part only, BoxdError
--- when a mode can't be set.
---@param local_path string|boxd.Path
---@param dest string path in the box
---@param options? boxd.UploadOptions
---@return integer bytes written
function Box:upload(local_path, dest, options) end

--- Fetches a file of any size, in constant memory. It appears under its name
--- only when it is whole, with its permission bits, but no more readable than a
--- file that it replaces.
--- RPC: Exec for the mode; DownloadFileStream, or DownloadFile of a service
--- without it.
--- Raises: NotFoundError, InvalidArgumentError when the local file is not
--- written.
---@param path string in the box
---@param local_path string|boxd.Path
---@param options? boxd.FileTransferOptions
---@return integer bytes written
function Box:download(path, local_path, options) end

--- Fetches a folder with all in it: files and folders, with their permission
--- bits. One with a link, a device or a name that is not UTF-8 in it is refused
--- before anything is written.
--- RPC: ListDir, DownloadFileStream.
--- Raises: NotFoundError, InvalidArgumentError for what can't be downloaded or
--- written, InternalError for a name that leads elsewhere; the message says how
--- many files are there already.
---@param path string in the box
---@param local_path string|boxd.Path made when it is not there
---@param options? boxd.TransferOptions the progress is each file's
---@return integer bytes written
function Box:download_folder(path, local_path, options) end

---@class boxd.ReadOptions: boxd.Options
---@field verify? boolean compare the SHA-256 with that of the box's sha256sum, and do it once more where it differs

---@class boxd.WriteOptions: boxd.ReadOptions
---@field mode? string permission bits as octal digits, such as "644"
---@field owner? string "user" or "user:group", by sudo where that is needed; others read the file at no time (2 Execs more)

---@class boxd.MkdirOptions: boxd.Options
---@field mode? string permission bits as octal digits, such as "755"
---@field owner? string "user" or "user:group", by sudo where that is needed

---@class boxd.UploadOptions: boxd.FileTransferOptions
---@field owner? string "user" or "user:group", by sudo where that is needed; of a folder, its new entries

---@class boxd.FileTransferOptions: boxd.TransferOptions
---@field verify? boolean of one file: compare the SHA-256 with that of the box's sha256sum, and do it once more where it differs

---@class boxd.TransferOptions: boxd.Options
---@field progress? fun(done: integer, total: integer) called with bytes as they go
---@field mode? string permission bits of the files as octal digits, such as "644"

--- Makes a folder of the box like a local one: only what differs travels (kind,
--- mode, size, mtime), links as links. A folder's own mtime is not compared.
--- Interrupted and run again it completes.
--- Round trips: 2, where nothing differs 1; 1 more each to remove and to compare by
--- checksum.
--- RPC: Exec.
--- Raises: InvalidArgumentError for a pipe or device, or what can't be read;
--- BoxdError when the box can't write, or a file shrinks while it is read.
---@param local_dir string|boxd.Path
---@param dir string in the box, made with its parents
---@param options? boxd.SyncOptions
---@return boxd.SyncResult
function Box:sync_to(local_dir, dir, options) end

--- Makes a local folder like one of the box. No file is written through a link.
--- Round trips: 2, where nothing differs 1; 1 more to compare by checksum.
--- RPC: Exec.
--- Raises: NotFoundError; InvalidArgumentError for what can't be written;
--- BoxdError when the box can't read.
---@param dir string in the box
---@param local_dir string|boxd.Path made in a folder that is there
---@param options? boxd.SyncOptions
---@return boxd.SyncResult
function Box:sync_from(dir, local_dir, options) end

---@class boxd.SyncOptions: boxd.Options
---@field delete? boolean remove paths that the source does not have, except excluded ones
---@field exclude? string[] patterns as in .gitignore: "*.o", "/build", "tmp/", "!keep.o"
---@field checksum? boolean compare files of one size by SHA-256, not by mtime
---@field dry_run? boolean only count
---@field progress? fun(done: integer, total: integer) bytes
---@field watch? boolean stay, and send changes until it is cancelled
---@field user? string what user of the box reads and writes there; another one needs its sudo

---@class boxd.SyncResult
---@field sent integer files and links
---@field deleted integer
---@field unchanged integer files and links
---@field bytes integer of the files sent

--- RPC: ListDir.
--- Raises: NotFoundError.
---@param path string in the box
---@param options? boxd.Options
---@return boxd.DirEntry[]
---@return boolean truncated: the service left some out
function Box:list_dir(path, options) end

--- Round trips: 1.
--- RPC: Mkdir; with mode or owner Exec instead.
--- Raises: NotFoundError, InvalidArgumentError when it is there.
---@param path string in the box, in a folder that is there
---@param options? boxd.MkdirOptions
function Box:mkdir(path, options) end

--- A file, or a folder with all in it.
--- RPC: CopyPath.
--- Raises: NotFoundError.
---@param from string
---@param to string
---@param options? boxd.Options
function Box:copy(from, to, options) end

--- A file, or a folder with all in it.
--- RPC: DeletePath.
--- Raises: NotFoundError.
---@param path string
---@param options? boxd.Options
function Box:remove(path, options) end
