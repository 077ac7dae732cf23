"""Classify one image on the fleet and print the result: classify.py MODEL IMAGE"""
import json
import mimetypes
import os
import sys
import uuid

import pika

model, path = sys.argv[1:]
url = os.environ.get("NCS_AMQP_URL", "amqp://guest:guest@localhost:5672/%2f")
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.confirm_delivery()  # with mandatory below: no queue for the model is an error
answers = channel.queue_declare("", exclusive=True).method.queue
properties = pika.BasicProperties(
    content_type=mimetypes.guess_type(path)[0], message_id=str(uuid.uuid4()), reply_to=answers,
    delivery_mode=2)
with open(path, "rb") as image:
    channel.basic_publish("ncs.jobs", model, image.read(), properties, mandatory=True)
for _, _, body in channel.consume(answers, auto_ack=True, inactivity_timeout=60):
    if body is None:
        sys.exit("no answer within 60 s; is a worker running?")
    print(json.dumps(json.loads(body), indent=2))
    break
connection.close()
