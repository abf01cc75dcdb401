using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Threading;

namespace CivetWeb.Net;

public sealed partial class CivetWebServer
{
    private void Start()
    {
        ServerSettings settings = ServerSettings.Parse(ServerOptionsReader.Read(_options));
        var callbacks = new Callbacks
        {
            BeginRequest = Dispatch,
        };
        Context context = Context.Start(callbacks, settings, this);
        EndPoints = [.. context.Ports.Select(p => new ServerEndPoint(new IPEndPoint(IPAddress.Loopback, p.Port), new Uri($"http://127.0.0.1:{p.Port}/")))];
        _context = context;
    }

    private void Stop(CancellationToken cancellationToken)
    {
        _ = cancellationToken;
        _stopping.Cancel();
        _context!.Stop(_options.ShutdownTimeout);
    }
}
