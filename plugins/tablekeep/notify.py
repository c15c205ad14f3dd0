"""Tells people by an SNS topic. What is told holds counts and names, never items."""

import logging

from tablekeep.runtime import clients_for

log = logging.getLogger(__name__)


def publish(topic: str | None, subject: str, text: str, *, aws_conn_id: str, region: str | None = None) -> None:
    """Publishes to the topic, in the topic's Region. That telling fails does not change what is told: it is logged.

    :param subject: one line; SNS takes fewer than 100 characters of it.
    """
    if not topic:
        return
    import botocore.exceptions

    try:
        sns = clients_for(aws_conn_id, region).client("sns", topic.split(":")[3])
        sns.publish(TopicArn=topic, Subject=" ".join(subject.split())[:99], Message=text)
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        log.error("nobody was told by %s (%s); what should be told: %s: %s", topic, error, subject, text)
