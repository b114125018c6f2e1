import Alert from '@cloudscape-design/components/alert';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import Link from '@cloudscape-design/components/link';

import { useFollow } from '../lib/follow';
import { t } from '../strings';

/** An address that shows nothing. */
export function NotFound({
  what = t.notFound.page,
  list = 'workspaces',
}: {
  readonly what?: string;
  /** Where to look instead. */
  readonly list?: 'workspaces' | 'projects';
}) {
  const follow = useFollow();
  return (
    <ContentLayout header={<Header variant="h1">{t.notFound.title}</Header>}>
      <Alert type="warning" header={what}>
        <Link href={`/${list}`} onFollow={follow}>
          {t.notFound[list]}
        </Link>
      </Alert>
    </ContentLayout>
  );
}
