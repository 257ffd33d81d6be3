-- The fence at slurmctld's door. It refuses early, with words, what the limits would only hold back late, and it closes
-- what they do not see: the owner of a pending job may otherwise change its size, time, partition, QOS and comment.
--
-- It is a fence, not the wall: the QOS limits hold without it, and every job is read again when it starts.
-- `gpu_partitions.conf` beside this file says which GPU type a partition has ("h100 h100", one line each; "-" for none;
-- a partition that is not in it is left alone). slurmctld reads both again when this file changes, and on `scontrol reconfigure`.

-- What slurmctld puts where nothing was asked for: nil, "", NO_VAL in one of its widths, or 0 for a moment.
local NOTHING = { [slurm.NO_VAL16] = true, [slurm.NO_VAL] = true, [slurm.NO_VAL64] = true }

local function is_set(value)
    return value ~= nil and value ~= "" and not NOTHING[value]
end

-- ---- which GPU type a partition has

local function here()
    return debug.getinfo(1, "S").source:match("^@(.*/)") or "/etc/slurm/"
end

local function read_gpu_partitions()
    local types = {}
    local file = io.open(here() .. "gpu_partitions.conf")
    if file == nil then
        slurm.log_error("saola: gpu_partitions.conf is missing: GPU requests are not checked early")
        return types
    end
    for line in file:lines() do
        local partition, gpu_type = line:match("^(%S+)%s+(%S+)%s*$")
        if partition then
            types[partition] = gpu_type
        end
    end
    file:close()
    return types
end

local gpu_type_of = read_gpu_partitions()

-- ---- what a request asks for

-- Calls `found(gpu_type or nil)` for each GPU item of a TRES request such as "gres:gpu:h100:2,gres:gpu:1".
local function each_gpu_item(request, found)
    if not is_set(request) then
        return
    end
    for item in request:gmatch("[^,]+") do
        local rest = item:gsub("^gres[:/]", ""):match("^gpu(.*)$")
        if rest then
            local kind = rest:match("^[:=]([^:=]+)")
            if kind ~= nil and kind:match("^%d+[kKmMgG]?$") then
                kind = nil
            end
            found(kind)
        end
    end
end

local function gpu_request(job_desc)
    local types, items, untyped = {}, 0, false
    for _, field in ipairs({ "tres_per_job", "tres_per_node", "tres_per_socket", "tres_per_task" }) do
        each_gpu_item(job_desc[field], function(gpu_type)
            items = items + 1
            if gpu_type == nil then
                untyped = true
            else
                types[gpu_type] = true
            end
        end)
    end
    return { items = items, untyped = untyped, types = types }
end

local function default_partition(part_list)
    for name, partition in pairs(part_list) do
        if partition.flag_default == 1 then
            return name
        end
    end
    return nil
end

-- A named error, so that a submission is known to have been refused and not lost.
local function refuse_submission(message)
    slurm.log_user("saola: " .. message)
    return slurm.ESLURM_ACCOUNTING_POLICY
end

-- Slurm 22.05 has no way to give words to the owner here ("Access/permission denied" is all they read); the log has them.
local function refuse_change(job_rec, message)
    slurm.log_info("saola: job %u of uid %u: %s", job_rec.job_id, job_rec.user_id, message)
    return slurm.ESLURM_ACCESS_DENIED
end

-- ---- the two doors

function slurm_job_submit(job_desc, part_list, submit_uid)
    -- Whoever submits for somebody else is root or SlurmUser: slurmctld lets nobody else.
    if submit_uid == 0 or submit_uid ~= job_desc.user_id then
        return slurm.SUCCESS
    end
    local partition = job_desc.partition or default_partition(part_list)
    if partition == nil then
        return slurm.SUCCESS
    end
    if partition:find(",") then
        return refuse_submission("name one partition: each has its own GPU type and its own allocations.")
    end
    local gpu_type = gpu_type_of[partition]
    if gpu_type == nil then
        return slurm.SUCCESS
    end
    if gpu_type == "-" then
        if gpu_request(job_desc).items > 0 then
            return refuse_submission("partition " .. partition .. " has no GPUs: it is for preparing data.")
        end
        return slurm.SUCCESS
    end
    -- Asks for one GPU, is given the node and charged for all of its GPUs: neither a hold nor a limit saw that coming.
    if job_desc.shared == 0 then
        return refuse_submission("--exclusive is not for GPU nodes: ask for all GPUs of a node instead.")
    end
    local request = gpu_request(job_desc)
    if request.items == 0 then
        return refuse_submission(
            "partition " .. partition .. " is for GPU jobs: ask for GPUs, for example --gpus-per-node=" .. gpu_type .. ":1."
        )
    end
    if request.untyped then
        return refuse_submission(
            "name the GPU type: partition " .. partition .. " has " .. gpu_type .. ", for example --gpus-per-node=" .. gpu_type .. ":1."
        )
    end
    for asked in pairs(request.types) do
        if asked ~= gpu_type then
            return refuse_submission(
                "partition " .. partition .. " has GPUs of type " .. gpu_type .. ", not " .. asked .. "."
            )
        end
    end
    return slurm.SUCCESS
end

-- What an owner may not change: the portal's hold, or the search for the job by its comment, depends on it.
local FROZEN = {
    "account",
    "comment",
    "cpus_per_tres",
    "gres",
    "max_cpus",
    "max_nodes",
    "mem_per_tres",
    "min_cpus",
    "min_nodes",
    "num_tasks",
    "ntasks_per_node",
    "partition",
    "qos",
    "reservation",
    "shared",
    "tres_per_job",
    "tres_per_node",
    "tres_per_socket",
    "tres_per_task",
    "wckey",
}

function slurm_job_modify(job_desc, job_rec, part_list, modify_uid)
    -- Whoever changes somebody else's job is an operator: slurmctld checks that after us.
    if modify_uid == 0 or modify_uid ~= job_rec.user_id then
        return slurm.SUCCESS
    end
    if is_set(job_desc.end_time) and job_desc.end_time ~= 0 then
        return refuse_change(job_rec, "end_time cannot be changed by the job's owner")
    end
    for _, field in ipairs(FROZEN) do
        if is_set(job_desc[field]) then
            return refuse_change(job_rec, field .. " cannot be changed by the job's owner")
        end
    end
    if is_set(job_desc.time_limit) and job_desc.time_limit > job_rec.time_limit then
        return refuse_change(job_rec, "time_limit cannot be raised by the job's owner")
    end
    return slurm.SUCCESS
end

slurm.log_info("saola: job_submit fence loaded")
return slurm.SUCCESS
