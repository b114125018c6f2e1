import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';

import { queries } from '../../api/queries';
import { noticesOf } from '../../lib/equivalentsOfNotices';
import { t } from '../../strings';
import { AsCommand } from '../../ui/AsCommand';
import { Loaded } from '../../ui/Loaded';
import { NoticeInbox } from './NoticeInbox';
import { RequestTable } from './RequestTable';

/** What the person should know, and requests for more. */
export default function Notices() {
  const notices = useQuery(queries.notices);
  const requests = useQuery(queries.requests);
  return (
    <ContentLayout
      header={
        <Header variant="h1" actions={<AsCommand equivalents={noticesOf()} />}>
          {t.pages.notices}
        </Header>
      }
    >
      <SpaceBetween size="l">
        <Loaded query={notices} what={t.inbox.title}>
          {(it) => <NoticeInbox notices={it.notices} unread={it.unread} />}
        </Loaded>
        <Loaded query={requests} what={t.requests.title}>
          {(it) => <RequestTable requests={it.requests} />}
        </Loaded>
      </SpaceBetween>
    </ContentLayout>
  );
}
