"""Spread a model's jobs over several queues: shards.py MODEL SHARDS"""
import os
import sys

import pika

model, shards = sys.argv[1], int(sys.argv[2])
url = os.environ.get("NCS_AMQP_URL", "amqp://guest:guest@localhost:5672/%2f")
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
jobs, spread = f"ncs.jobs.{model}", f"ncs.shards.{model}"
channel.exchange_declare(spread, "x-consistent-hash", durable=True,
                         arguments={"hash-property": "message_id"})
for shard in range(shards):  # declared by their workers; "1" is a shard's weight
    channel.queue_bind(f"{jobs}-{shard}", spread, "1")
# Producers look for the model's own queue. It stays, and gets no more jobs.
channel.queue_declare(jobs, durable=True, passive=True)
channel.exchange_bind(spread, "ncs.jobs", model)
channel.queue_unbind(jobs, "ncs.jobs", model)
connection.close()
