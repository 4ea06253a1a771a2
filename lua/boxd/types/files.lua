---@meta
-- A box's files.

--- (DirEntry of the contract.)
---@class boxd.DirEntry
---@field name string
---@field is_dir boolean
---@field size_bytes integer
---@field permissions? string "-rw-r--r--"
---@field modified_at integer
---@field added_at integer

--- box.files: a box's methods on files, and rename.
---@class boxd.Files
---@field id string the box's
---@field name? string the box's
local Files = {}

--- RPC: ListDir.
--- Raises: NotFoundError.
---@param path string in the box
---@param options? boxd.Options
---@return boxd.DirEntry[]
---@return boolean truncated: the service left some out
function Files:list_dir(path, options) end

--- RPC: Mkdir; with mode or owner Exec instead.
--- Raises: NotFoundError, InvalidArgumentError when it is there.
---@param path string in the box, in a folder that is there
---@param options? boxd.MkdirOptions
function Files:mkdir(path, options) end

--- As Box:stat.
--- RPC: Exec.
--- Raises: as Box:stat.
---@param path string
---@param options? boxd.Options
---@return boxd.Stat?
function Files:stat(path, options) end

--- As Box:exists.
--- RPC: Exec.
--- Raises: as Box:stat.
---@param path string
---@param options? boxd.Options
---@return boolean
function Files:exists(path, options) end

--- A file, or a folder with all in it.
--- RPC: CopyPath.
--- Raises: NotFoundError.
---@param from string
---@param to string
---@param options? boxd.Options
function Files:copy(from, to, options) end

--- A file, or a folder with all in it.
--- RPC: DeletePath.
--- Raises: NotFoundError.
---@param path string
---@param options? boxd.Options
function Files:remove(path, options) end

--- RPC: RenamePath.
--- Raises: NotFoundError.
---@param from string
---@param to string
---@param options? boxd.Options
function Files:rename(from, to, options) end

--- RPC: UploadFile, or UploadFileStream for more than one chunk; Exec for a
--- mode and for verify.
--- Raises: NotFoundError, InternalError when the service wrote a part only.
---@param source string|boxd.Path
---@param dest string
---@param options? boxd.WriteOptions
function Files:write_file(source, dest, options) end

--- RPC: DownloadFileStream, or DownloadFile; Exec for verify.
--- Raises: NotFoundError, InternalError when not all of it came.
---@param path string
---@param options? boxd.ReadOptions
---@return string bytes
function Files:read_file(path, options) end

--- RPC: UploadFileStream; Exec for a mode; of a folder, Mkdir, and Exec for links.
--- Raises: NotFoundError.
---@param local_path string|boxd.Path
---@param dest string
---@param options? boxd.UploadOptions
---@return integer bytes written
function Files:upload(local_path, dest, options) end

--- RPC: Exec for the mode, DownloadFileStream, or DownloadFile.
--- Raises: NotFoundError.
---@param path string
---@param local_path string|boxd.Path
---@param options? boxd.FileTransferOptions
---@return integer bytes written
function Files:download(path, local_path, options) end

--- RPC: ListDir, DownloadFileStream.
--- Raises: NotFoundError, InvalidArgumentError for what can't be downloaded or
--- written, InternalError for a name that leads elsewhere; the message says how
--- many files are there already.
---@param path string in the box
---@param local_path string|boxd.Path made when it is not there
---@param options? boxd.TransferOptions the progress is each file's
---@return integer bytes written
function Files:download_folder(path, local_path, options) end
