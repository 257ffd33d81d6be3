#!/bin/bash
@{options}
# JupyterLab on a GPU. It listens on the node's own address only; ssh brings it to your computer.
arguments=@{arguments}
workdir=@{workdir}
run_name=@{run_name}

@{folders}

@{environment}

@{launch}

# The token lies in a file that only you can read: not in the log, nor in the list of processes.
export JUPYTER_TOKEN_FILE="$HOME/.saola/jupyter-$SLURM_JOB_ID.token"
(umask 077 && mkdir -p "$HOME/.saola" && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "$JUPYTER_TOKEN_FILE")
trap 'rm -f "$JUPYTER_TOKEN_FILE"' EXIT

port="$MASTER_PORT"
login="${SAOLA_LOGIN:-LOGIN-HOST}"
tunnel="ssh -N -L $port:127.0.0.1:$port -J $(id -un)@$login $(id -un)@$MASTER_ADDR"
echo "$tunnel" > "$SLURM_SUBMIT_DIR/tunnel.txt"  # the job's page shows it
echo "On your own computer:"
echo "    $tunnel"
echo "    ssh $(id -un)@$login cat $JUPYTER_TOKEN_FILE"
echo "then open http://127.0.0.1:$port/lab and give the token that the second line shows."

run jupyter lab --no-browser --ip=127.0.0.1 --port="$port" --ServerApp.port_retries=0 --ServerApp.root_dir="$PWD" \
    "${arguments[@]}"
