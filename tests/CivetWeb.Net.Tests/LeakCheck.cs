using System.Threading.Tasks;
using CivetWeb.Net.Interop;
using NUnit.Framework;
using NUnit.Framework.Interfaces;

[assembly: CivetWeb.Net.Tests.LeakCheck]

namespace CivetWeb.Net.Tests;

/// <summary>After every test: no native session or TLS object is alive and no handle is held for C.</summary>
[System.AttributeUsage(System.AttributeTargets.Assembly)]
public sealed class LeakCheckAttribute : System.Attribute, ITestAction
{
    /// <inheritdoc/>
    public ActionTargets Targets => ActionTargets.Test;

    /// <inheritdoc/>
    public void BeforeTest(ITest test)
    {
    }

    /// <inheritdoc/>
    public void AfterTest(ITest test)
    {
        Task.Run(async () => await Eventually.IsTrueAsync(() => SessionHandle.AliveCount == 0, "native sessions released")).Wait();
        Assert.That(CallbackHandle.Count, Is.Zero, "GCHandles held for C");
        Assert.That(NativeTls.AliveCount, Is.Zero, "TLS objects alive");
    }
}
