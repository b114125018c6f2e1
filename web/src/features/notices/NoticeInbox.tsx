import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import StatusIndicator from '@cloudscape-design/components/status-indicator';

import { noticeActions } from '../../api/noticeActions';
import type { Schemas } from '../../api/client';
import { t } from '../../strings';
import { ListTable } from '../../ui/ListTable';
import { useNotify } from '../../ui/Notifications';
import { RelativeTime } from '../../ui/RelativeTime';
import { Remediation } from '../../ui/Remediation';

type Notice = Schemas['NoticeShown'];

/** The notices of the person, the newest first. */
export function NoticeInbox({
  notices,
  unread,
}: {
  readonly notices: readonly Notice[];
  readonly unread: number;
}) {
  const { failed } = useNotify();
  const read = () => {
    noticeActions.readNotices().catch((error: unknown) => failed(t.inbox.readAll, error as Error));
  };
  return (
    <ListTable<Notice>
      title={t.inbox.title}
      what={t.inbox.what}
      items={notices}
      by="id"
      empty={t.inbox.none}
      actions={
        <Button disabled={unread === 0} onClick={read}>
          {t.inbox.readAll}
        </Button>
      }
      columns={[
        {
          id: 'title',
          header: t.inbox.notice,
          isRowHeader: true,
          minWidth: 220,
          cell: (it) => (
            <>
              <Box fontWeight={it.read_at === null ? 'bold' : 'normal'}>{it.title}</Box>
              {it.text.split('\n').map((line, index) => (
                <Box key={index} color="text-body-secondary" fontSize="body-s">
                  {line}
                </Box>
              ))}
              {it.command !== '' && <Remediation text={`\`${it.command}\``} />}
            </>
          ),
        },
        {
          id: 'state',
          header: t.inbox.state,
          minWidth: 100,
          cell: (it) => (
            <StatusIndicator type={it.read_at === null ? 'info' : 'success'}>
              {it.read_at === null ? t.inbox.unread : t.inbox.read}
            </StatusIndicator>
          ),
        },
        { id: 'at', header: t.inbox.when, cell: (it) => <RelativeTime at={it.at} /> },
      ]}
    />
  );
}
