import Alert from '@cloudscape-design/components/alert';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import Link from '@cloudscape-design/components/link';

import { useFollow } from '../lib/follow';
import { t } from '../strings';

/** An address that shows nothing. */
export function NotFound({ what = t.notFound.page }: { readonly what?: string }) {
  const follow = useFollow();
  return (
    <ContentLayout header={<Header variant="h1">{t.notFound.title}</Header>}>
      <Alert type="warning" header={what}>
        <Link href="/workspaces" onFollow={follow}>
          {t.notFound.back}
        </Link>
      </Alert>
    </ContentLayout>
  );
}
